//! What a `--fault` makes a host see, as far as its text alone tells.
//!
//! The grammar is EL2's (`hyp-core`, `fault::policy`): `CLASS=LINK,LINK;…`, with `all` for every class and `!` behind a
//! last link that may be tried for ever. EL2 reads it; here it only says what to expect.

/// The abort presets and their fault status codes (`docs/architecture.md`, "Fault delivery").
const CODES: [(&str, u64); 5] = [
    ("external-abort", 0x10),
    ("alignment-abort", 0x21),
    ("translation-abort", 0x07),
    ("tag-check-abort", 0x11),
    ("granule-abort", 0x28),
];

/// Links after which an unmodified Linux makes the very same access again, so that the next link answers.
const TRIED_AGAIN: [&str; 2] = ["translation-abort", "tagged-abort"];

/// Classes of access, and what the bare-metal hosts call them.
const CLASSES: [(&str, &str); 6] = [
    ("el0", "el0"),
    ("el1-user", "user"),
    ("el1-kernel", "kernel"),
    ("walk", "walk"),
    ("fetch", "fetch"),
    ("cache", "cache"),
];

/// The links of a class, where the text has any for it.
fn links<'s>(spec: &'s str, class: &str) -> Option<Vec<&'s str>> {
    let chain = |name: &str| {
        spec.split(';')
            .filter_map(|clause| clause.split_once('='))
            .find(|(it, _)| *it == name)
    };
    let (_, chain) = chain(class).or_else(|| chain("all"))?;
    Some(chain.trim_end_matches('!').split(',').collect())
}

/// The mechanism that a process of a Linux host sees in the end when it touches lent memory.
pub(super) fn seen_by_linux(spec: &str) -> Option<&str> {
    let links = links(spec, "el0")?;
    let lasting = links.iter().find(|link| !TRIED_AGAIN.contains(link));
    lasting.or(links.last()).copied()
}

/// What a bare-metal host is told with `expect=`, which sees the first link of each class: `el0:0x10,user:0x21`.
pub(super) fn codes(spec: &str) -> Option<String> {
    let expected = CLASSES.iter().filter_map(|(class, name)| {
        let code = code(links(spec, class)?.first()?)?;
        Some(format!("{name}:{code:#x}"))
    });
    let expected: Vec<_> = expected.collect();
    (!expected.is_empty()).then(|| expected.join(","))
}

fn code(link: &str) -> Option<u64> {
    if let Some(number) = link.strip_prefix("abort(").and_then(|rest| rest.strip_suffix(')')) {
        return match number.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        };
    }
    CODES.iter().find(|(name, _)| *name == link).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_sees_what_does_not_make_it_try_again() {
        assert_eq!(seen_by_linux("el0=alignment-abort,halt"), Some("alignment-abort"));
        assert_eq!(seen_by_linux("all=tagged-abort,external-abort"), Some("external-abort"));
        assert_eq!(
            seen_by_linux("all=halt;el0=translation-abort!"),
            Some("translation-abort")
        );
        assert_eq!(seen_by_linux("el1-user=halt"), None);
        assert_eq!(seen_by_linux("gunyah"), None);
    }

    #[test]
    fn a_bare_host_sees_the_first_link_of_each_class() {
        assert_eq!(
            codes("el0=alignment-abort,halt;walk=abort(0x2a)").as_deref(),
            Some("el0:0x21,walk:0x2a")
        );
        let all = codes("all=external-abort;el1-kernel=abort(17),halt").unwrap();
        assert_eq!(all, "el0:0x10,user:0x10,kernel:0x11,walk:0x10,fetch:0x10,cache:0x10");
        assert_eq!(codes("all=tagged-abort,halt"), None);
        assert_eq!(codes("pkvm"), None);
    }
}
