//! Which mechanisms answer which class of access, in what order.
//!
//! A policy is a constant of the board. Where the board permits it, a text replaces it at boot ([`Policy::parse`]).
//!
//! # What is refused
//! The last link of a chain answers every further try of the same access. Some fault codes make Linux execute the
//! access again with nobody told ([`Mechanism::may_loop`] says which, and where that is read): as the last link they
//! hang the CPU, at EL1 beyond help. Such a chain is refused. To measure a mechanism alone, the last link takes a mark,
//! `all=translation-abort!`, which says that endless tries are meant.
//!
//! Links behind `halt` are never reached, and refused too. So is a chain that ends with a link which only a host can use
//! that has prepared for it; the mark says that this is meant too. Where a chain's last link cannot be used, the access gets
//! what the architecture has for it, an External abort.

mod parse;

pub use parse::PolicyError;

use super::access::Class;
use super::mechanism::Mechanism;
use core::fmt;

/// The most links that a chain has.
pub const MAX_LINKS: usize = 4;

/// One to [`MAX_LINKS`] mechanisms, used one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Behind the end, the last link again: a shorter chain is a chain that stays where it is.
    links: [Mechanism; MAX_LINKS],
    len: u8,
    endless: bool,
}

/// Why a chain does not fit a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ChainError {
    /// The last link may make the host try again for ever.
    MayLoop(Mechanism),
    /// A link stands behind `halt`.
    BehindHalt,
    /// The last link answers only hosts that have prepared for it.
    NeedsTheHost(Mechanism),
}

impl Chain {
    /// The chain of `links`.
    ///
    /// # Panics
    /// Without a link, or with more than [`MAX_LINKS`]; in a constant, at build time.
    #[must_use]
    pub const fn new(links: &[Mechanism]) -> Self {
        assert!(
            !links.is_empty() && links.len() <= MAX_LINKS,
            "a chain has one to four links"
        );
        let mut chain = Self {
            links: [links[links.len() - 1]; MAX_LINKS],
            len: links.len() as u8,
            endless: false,
        };
        let mut n = 0;
        while n < links.len() {
            chain.links[n] = links[n];
            n += 1;
        }
        chain
    }

    /// The same chain, whose last link may be tried for ever: `!` in a policy's text.
    #[must_use]
    pub const fn endless(self) -> Self {
        Self { endless: true, ..self }
    }

    /// How many links, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a chain is never empty")]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Link number `n`; the last one for any `n` behind it.
    #[must_use]
    pub const fn link(&self, n: usize) -> Mechanism {
        self.links[if n < MAX_LINKS { n } else { MAX_LINKS - 1 }]
    }

    /// The links that leave nothing in EL1's registers, a bit each.
    #[must_use]
    pub const fn untraced(&self) -> u8 {
        let (mut links, mut n) = (0, 0);
        while n < self.len() {
            links |= (self.links[n].is_untraced() as u8) << n;
            n += 1;
        }
        links
    }

    /// Whether the chain may answer accesses of `class`.
    ///
    /// # Errors
    /// [`ChainError`].
    pub const fn check(&self, class: Class) -> Result<(), ChainError> {
        let mut n = 0;
        while n + 1 < self.len() {
            if matches!(self.links[n], Mechanism::Halt) {
                return Err(ChainError::BehindHalt);
            }
            n += 1;
        }
        let last = self.link(self.len() - 1);
        if last.may_loop(class) && !self.endless {
            return Err(ChainError::MayLoop(last));
        }
        if last.needs_the_host() && !self.endless {
            return Err(ChainError::NeedsTheHost(last));
        }
        Ok(())
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, link) in self.links.iter().take(self.len()).enumerate() {
            write!(f, "{}{link}", if n == 0 { "" } else { "," })?;
        }
        f.write_str(if self.endless { "!" } else { "" })
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Chain {
    fn format(&self, f: defmt::Formatter<'_>) {
        for (n, link) in self.links.iter().take(self.len()).enumerate() {
            defmt::write!(f, "{=str}{}", if n == 0 { "" } else { "," }, link);
        }
        defmt::write!(f, "{=str}", if self.endless { "!" } else { "" });
    }
}

/// A chain for each class of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    chains: [Chain; Class::COUNT],
}

impl Policy {
    /// For a stock Linux, which survives every access that `cargo xtask matrix` makes (docs/fault-delivery.md).
    ///
    /// A process gets SIGBUS. The kernel's own access runs its fix-up where it has one; where it has none and comes back, it
    /// is served by a decoy, and what no decoy serves gets the page. At user addresses the first link is an Alignment
    /// fault: Linux has a fix-up for whatever comes there, and an access that has none is a bug that is to be seen. At
    /// kernel addresses it is a Tag Check fault, for which Linux comes back in silence where it has no fix-up. No fix-up and
    /// no decoy is for a fetch. A table of stage 1 that was lent comes back empty, after who has a fix-up or a signal handler
    /// was told: nothing else lets the walk end.
    pub const DEFAULT: Self = Self::all(Chain::new(&[
        Mechanism::TAG_CHECK_ABORT,
        Mechanism::Decoy,
        Mechanism::ForceReclaim,
    ]))
    .with(Class::El0, Chain::new(&[Mechanism::EXTERNAL_ABORT]))
    .with(
        Class::El1User,
        Chain::new(&[Mechanism::ALIGNMENT_ABORT, Mechanism::Decoy, Mechanism::ForceReclaim]),
    )
    .with(
        Class::Walk,
        Chain::new(&[Mechanism::TAG_CHECK_ABORT, Mechanism::ForceReclaim]),
    )
    .with(Class::Fetch, Chain::new(&[Mechanism::ForceReclaim]));

    /// For a host that is being brought up: an abort for every access, and a CPU that stops, with a dump, where EL1 comes
    /// back to the very same one.
    pub const BRING_UP: Self = Self::all(Chain::new(&[Mechanism::ALIGNMENT_ABORT, Mechanism::Halt]))
        .with(Class::El0, Chain::new(&[Mechanism::EXTERNAL_ABORT]));

    /// As Gunyah does: an External abort, whoever it was.
    pub const GUNYAH: Self = Self::all(Chain::new(&[Mechanism::EXTERNAL_ABORT]));

    /// As pKVM does: the stage-2 fault, marked. A kernel that does not know the mark tries again, so something follows:
    /// a signal at EL0, the end at EL1.
    pub const PKVM: Self = Self::all(Chain::new(&[Mechanism::TaggedAbort, Mechanism::Halt])).with(
        Class::El0,
        Chain::new(&[Mechanism::TaggedAbort, Mechanism::EXTERNAL_ABORT]),
    );

    /// Policies that a text can name.
    pub const NAMED: [(&'static str, Self); 4] = [
        ("default", Self::DEFAULT),
        ("bring-up", Self::BRING_UP),
        ("gunyah", Self::GUNYAH),
        ("pkvm", Self::PKVM),
    ];

    /// One chain for every class.
    ///
    /// # Panics
    /// When [`Chain::check`] refuses it; in a constant, at build time.
    #[must_use]
    pub const fn all(chain: Chain) -> Self {
        let policy = Self {
            chains: [chain; Class::COUNT],
        };
        assert!(policy.check().is_ok(), "the chain does not fit every class");
        policy
    }

    /// The same policy with another chain for `class`.
    ///
    /// # Panics
    /// When [`Chain::check`] refuses it; in a constant, at build time.
    #[must_use]
    pub const fn with(mut self, class: Class, chain: Chain) -> Self {
        assert!(chain.check(class).is_ok(), "the chain does not fit the class");
        self.chains[class.index()] = chain;
        self
    }

    /// The chain for `class`.
    #[must_use]
    pub const fn chain(&self, class: Class) -> &Chain {
        &self.chains[class.index()]
    }

    /// Whether every chain may answer its class.
    ///
    /// # Errors
    /// The first class whose chain does not, and why.
    pub const fn check(&self) -> Result<(), (Class, ChainError)> {
        let mut n = 0;
        while n < Class::COUNT {
            if let Err(error) = self.chains[n].check(Class::ALL[n]) {
                return Err((Class::ALL[n], error));
            }
            n += 1;
        }
        Ok(())
    }
}

/// A text that [`Policy::parse`] reads back.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, class) in Class::ALL.into_iter().enumerate() {
            write!(
                f,
                "{}{}={}",
                if n == 0 { "" } else { ";" },
                class.name(),
                self.chain(class)
            )?;
        }
        Ok(())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Policy {
    fn format(&self, f: defmt::Formatter<'_>) {
        for (n, class) in Class::ALL.into_iter().enumerate() {
            let separator = if n == 0 { "" } else { ";" };
            defmt::write!(f, "{=str}{=str}={}", separator, class.name(), self.chain(class));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_default_is_what_the_board_promises() {
        assert_eq!(
            Policy::DEFAULT.to_string(),
            "el0=external-abort;el1-user=alignment-abort,decoy,force-reclaim;\
             el1-kernel=tag-check-abort,decoy,force-reclaim;walk=tag-check-abort,force-reclaim;fetch=force-reclaim;\
             cache=tag-check-abort,decoy,force-reclaim"
        );
        assert_eq!(
            Policy::BRING_UP.to_string(),
            "el0=external-abort;el1-user=alignment-abort,halt;el1-kernel=alignment-abort,halt;\
             walk=alignment-abort,halt;fetch=alignment-abort,halt;cache=alignment-abort,halt"
        );
    }

    #[test]
    fn the_last_link_stays() {
        let chain = Chain::new(&[Mechanism::TRANSLATION_ABORT, Mechanism::EXTERNAL_ABORT]);
        assert_eq!(chain.len(), 2);
        assert_eq!(chain.link(0), Mechanism::TRANSLATION_ABORT);
        for n in [1, 2, 3, 4, usize::MAX] {
            assert_eq!(chain.link(n), Mechanism::EXTERNAL_ABORT);
        }
    }

    #[test]
    fn only_the_end_of_a_chain_may_not_loop() {
        let loops = Mechanism::TRANSLATION_ABORT;
        assert_eq!(Chain::new(&[loops, Mechanism::Halt]).check(Class::El0), Ok(()));
        assert_eq!(
            Chain::new(&[Mechanism::EXTERNAL_ABORT, loops]).check(Class::El0),
            Err(ChainError::MayLoop(loops))
        );
        assert_eq!(Chain::new(&[loops]).endless().check(Class::El0), Ok(()));
        let tag = Chain::new(&[Mechanism::TAG_CHECK_ABORT]);
        assert_eq!(tag.check(Class::El0), Ok(()));
        assert_eq!(
            tag.check(Class::El1Kernel),
            Err(ChainError::MayLoop(Mechanism::TAG_CHECK_ABORT))
        );
    }

    #[test]
    fn nothing_stands_behind_halt() {
        let chain = Chain::new(&[Mechanism::Halt, Mechanism::EXTERNAL_ABORT]);
        assert_eq!(chain.check(Class::El0), Err(ChainError::BehindHalt));
        assert_eq!(chain.endless().check(Class::El0), Err(ChainError::BehindHalt));
    }

    #[test]
    #[should_panic(expected = "does not fit the class")]
    fn a_board_s_constant_is_checked_too() {
        let _ = Policy::DEFAULT.with(Class::El0, Chain::new(&[Mechanism::TRANSLATION_ABORT]));
    }
}
