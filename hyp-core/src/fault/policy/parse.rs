//! A policy from its text.
//!
//! ```text
//! policy := ( name | clause ) *( ";" clause )
//! clause := ( class | "all" ) "=" link *( "," link ) [ "!" ]
//! ```
//! `all` comes before other classes, each of which may then have a clause of its own. Classes that no clause names keep
//! the chain of the policy named at the start, or else of the board.

use super::{Chain, ChainError, MAX_LINKS, Policy};
use crate::fault::access::Class;
use crate::fault::mechanism::{Mechanism, NameError};
use core::fmt;

/// Why a text is no policy, with the piece of it that is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PolicyError<'s> {
    /// There is no policy of this name (a policy's name stands first, alone, without "=").
    UnknownPolicy(&'s str),
    /// There is no class of this name.
    UnknownClass(&'s str),
    /// There is no mechanism of this name.
    UnknownMechanism(&'s str),
    /// Not a fault status code: a number from 0 to 63, decimal or with `0x`.
    BadStatus(&'s str),
    /// More than [`MAX_LINKS`] links.
    TooLong(&'s str),
    /// The class already has a clause, or `all` stands behind another clause.
    Repeated(&'s str),
    /// `!` stands elsewhere than behind the last link.
    StrayMark(&'s str),
    /// A chain whose last link may make the host try for ever, without the mark.
    MayLoop(Class, Mechanism),
    /// A chain with a link behind `halt`.
    BehindHalt(Class),
    /// A chain whose last link answers only hosts that have prepared for it, without the mark.
    NeedsTheHost(Class, Mechanism),
}

impl fmt::Display for PolicyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPolicy(name) => write!(f, "fault policy: no policy is called \"{name}\""),
            Self::UnknownClass(name) => write!(f, "fault policy: no class of access is called \"{name}\""),
            Self::UnknownMechanism(name) => write!(f, "fault policy: no mechanism is called \"{name}\""),
            Self::BadStatus(link) => write!(f, "fault policy: \"{link}\" has no fault status code (0 to 63)"),
            Self::TooLong(clause) => write!(f, "fault policy: \"{clause}\" has more than {MAX_LINKS} links"),
            Self::Repeated(class) => write!(f, "fault policy: \"{class}\" comes after a clause for the same class"),
            Self::StrayMark(link) => write!(f, "fault policy: \"!\" in \"{link}\" belongs behind the last link"),
            Self::MayLoop(class, link) => write!(
                f,
                "fault policy: \"{link}\" at the end of {}'s chain may make the host try for ever; \
                 let something follow it, or write \"{link}!\" if that is meant",
                class.name()
            ),
            Self::NeedsTheHost(class, link) => write!(
                f,
                "fault policy: \"{link}\" at the end of {}'s chain needs a host that has prepared for it; \
                 let something follow it, or write \"{link}!\" if that is meant",
                class.name()
            ),
            Self::BehindHalt(class) => write!(f, "fault policy: {}'s chain goes on behind \"halt\"", class.name()),
        }
    }
}

impl Policy {
    /// Reads a policy; `board` is what the text does not change.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse<'s>(text: &'s str, board: &Self) -> Result<Self, PolicyError<'s>> {
        let mut policy = *board;
        let mut seen = [false; Class::COUNT];
        let mut all = false;
        for (n, clause) in text.split(';').enumerate() {
            let Some((name, links)) = clause.split_once('=') else {
                if n > 0 {
                    return Err(PolicyError::UnknownPolicy(clause));
                }
                policy = named(clause)?;
                continue;
            };
            let chain = parse_chain(links)?;
            if name == "all" {
                if all || seen.contains(&true) {
                    return Err(PolicyError::Repeated(name));
                }
                all = true;
                policy.chains = [chain; Class::COUNT];
            } else {
                let class = Class::from_name(name).ok_or(PolicyError::UnknownClass(name))?;
                if core::mem::replace(&mut seen[class.index()], true) {
                    return Err(PolicyError::Repeated(name));
                }
                policy.chains[class.index()] = chain;
            }
        }
        policy.check().map_err(|(class, error)| match error {
            ChainError::MayLoop(link) => PolicyError::MayLoop(class, link),
            ChainError::BehindHalt => PolicyError::BehindHalt(class),
            ChainError::NeedsTheHost(link) => PolicyError::NeedsTheHost(class, link),
        })?;
        Ok(policy)
    }
}

fn named(name: &str) -> Result<Policy, PolicyError<'_>> {
    let found = Policy::NAMED.iter().find(|(known, _)| *known == name);
    found.map(|(_, policy)| *policy).ok_or(PolicyError::UnknownPolicy(name))
}

fn parse_chain(text: &str) -> Result<Chain, PolicyError<'_>> {
    let (links, endless) = match text.strip_suffix('!') {
        Some(links) => (links, true),
        None => (text, false),
    };
    let mut found = heapless::Vec::<Mechanism, MAX_LINKS>::new();
    for link in links.split(',') {
        if link.contains('!') {
            return Err(PolicyError::StrayMark(link));
        }
        let mechanism = Mechanism::parse(link).map_err(|error| match error {
            NameError::Unknown => PolicyError::UnknownMechanism(link),
            NameError::BadStatus => PolicyError::BadStatus(link),
        })?;
        found.push(mechanism).map_err(|_| PolicyError::TooLong(text))?;
    }
    // `split` yields at least one piece, so there is at least one link.
    let chain = Chain::new(&found);
    Ok(if endless { chain.endless() } else { chain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::FaultStatus;
    use proptest::prelude::*;
    use std::string::ToString;

    fn parse(text: &str) -> Result<Policy, PolicyError<'_>> {
        Policy::parse(text, &Policy::DEFAULT)
    }

    #[test]
    fn names_are_policies() {
        assert_eq!(parse("default"), Ok(Policy::DEFAULT));
        assert_eq!(parse("bring-up"), Ok(Policy::BRING_UP));
        assert_eq!(parse("gunyah"), Ok(Policy::GUNYAH));
        assert_eq!(parse("pkvm"), Ok(Policy::PKVM));
        assert_eq!(parse("xen"), Err(PolicyError::UnknownPolicy("xen")));
        assert_eq!(parse(""), Err(PolicyError::UnknownPolicy("")));
    }

    #[test]
    fn clauses_change_their_class_alone() {
        let policy = parse("el0=tag-check-abort;walk=abort(0x17),halt").unwrap();
        let want = Policy::DEFAULT
            .with(Class::El0, Chain::new(&[Mechanism::TAG_CHECK_ABORT]))
            .with(
                Class::Walk,
                Chain::new(&[Mechanism::Abort(FaultStatus::new(0x17).unwrap()), Mechanism::Halt]),
            );
        assert_eq!(policy, want);
        let policy = parse("gunyah;fetch=halt").unwrap();
        assert_eq!(
            policy,
            Policy::GUNYAH.with(Class::Fetch, Chain::new(&[Mechanism::Halt]))
        );
    }

    #[test]
    fn the_board_keeps_what_the_text_leaves() {
        let policy = Policy::parse("el0=halt", &Policy::PKVM).unwrap();
        assert_eq!(policy, Policy::PKVM.with(Class::El0, Chain::new(&[Mechanism::Halt])));
    }

    #[test]
    fn all_comes_first_and_is_every_class() {
        assert_eq!(parse("all=external-abort"), Ok(Policy::GUNYAH));
        assert_eq!(
            parse("all=external-abort;cache=halt"),
            Ok(Policy::GUNYAH.with(Class::Cache, Chain::new(&[Mechanism::Halt])))
        );
        assert_eq!(parse("el0=halt;all=external-abort"), Err(PolicyError::Repeated("all")));
        assert_eq!(parse("all=halt;all=halt"), Err(PolicyError::Repeated("all")));
        assert_eq!(parse("el0=halt;el0=halt"), Err(PolicyError::Repeated("el0")));
    }

    #[test]
    fn endless_tries_must_be_meant() {
        assert_eq!(
            parse("all=translation-abort"),
            Err(PolicyError::MayLoop(Class::El0, Mechanism::TRANSLATION_ABORT))
        );
        assert_eq!(
            parse("all=tag-check-abort"),
            Err(PolicyError::MayLoop(Class::El1User, Mechanism::TAG_CHECK_ABORT))
        );
        let policy = parse("all=translation-abort!").unwrap();
        for class in Class::ALL {
            assert_eq!(policy.chain(class).link(0), Mechanism::TRANSLATION_ABORT);
        }
        assert_eq!(parse("el0=halt!,external-abort"), Err(PolicyError::StrayMark("halt!")));
        assert_eq!(
            parse("el0=external-abort!!"),
            Err(PolicyError::StrayMark("external-abort!"))
        );
        assert!(parse("el0=translation-abort,external-abort!").is_ok());
    }

    #[test]
    fn errors_name_the_piece() {
        for (text, error) in [
            ("el2=halt", PolicyError::UnknownClass("el2")),
            ("device=halt", PolicyError::UnknownClass("device")),
            ("=halt", PolicyError::UnknownClass("")),
            ("el0=", PolicyError::UnknownMechanism("")),
            ("el0=halt,", PolicyError::UnknownMechanism("")),
            ("el0=panic", PolicyError::UnknownMechanism("panic")),
            ("el0=sdei", PolicyError::NeedsTheHost(Class::El0, Mechanism::Sdei)),
            ("el0=abort(64)", PolicyError::BadStatus("abort(64)")),
            ("el0=halt;", PolicyError::UnknownPolicy("")),
            ("el0=halt;gunyah", PolicyError::UnknownPolicy("gunyah")),
            ("el0=halt,halt", PolicyError::BehindHalt(Class::El0)),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
            let message = error.to_string();
            assert!(message.starts_with("fault policy: "), "{message}");
        }
        let five = "el0=external-abort,external-abort,external-abort,external-abort,halt";
        assert!(matches!(parse(five), Err(PolicyError::TooLong(_))));
        assert_eq!(
            parse("all=sdei").unwrap_err().to_string(),
            "fault policy: \"sdei\" at the end of el0's chain needs a host that has prepared for it; \
             let something follow it, or write \"sdei!\" if that is meant"
        );
    }

    fn mechanism() -> impl Strategy<Value = Mechanism> {
        prop_oneof![
            (0..64u8).prop_map(|raw| Mechanism::Abort(FaultStatus::new(raw).unwrap())),
            Just(Mechanism::TaggedAbort),
            Just(Mechanism::Halt),
            Just(Mechanism::NewSyndrome),
            Just(Mechanism::Sdei),
            Just(Mechanism::Decoy),
            Just(Mechanism::ForceReclaim),
            Just(Mechanism::Unmapped),
        ]
    }

    prop_compose! {
        fn chain()(links in prop::collection::vec(mechanism(), 1..=MAX_LINKS), endless: bool) -> Chain {
            let chain = Chain::new(&links);
            if endless { chain.endless() } else { chain }
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(list in prop::collection::vec(chain(), Class::COUNT)) {
            let policy = Policy { chains: list.try_into().unwrap() };
            let text = policy.to_string();
            let read = parse(&text);
            match policy.check() {
                Ok(()) => prop_assert_eq!(read, Ok(policy)),
                Err(_) => prop_assert!(
                    matches!(
                        read,
                        Err(PolicyError::MayLoop(..) | PolicyError::BehindHalt(_) | PolicyError::NeedsTheHost(..))
                    ),
                    "{}", text
                ),
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9=;,!()x-]{0,64}", free in ".{0,64}") {
            for text in [text, free] {
                if let Ok(policy) = parse(&text) {
                    prop_assert_eq!(policy.check(), Ok(()));
                }
            }
        }
    }
}
