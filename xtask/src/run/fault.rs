//! What a `--fault` makes a host see: its text is read as EL2 reads it.

use leasehold_hyp_core::fault::{Chain, Class, Mechanism, Policy};

/// The names of classes that the bare-metal hosts have, where they differ from the policy's.
const NAMES: [(Class, &str); 6] = [
    (Class::El0, "el0"),
    (Class::El1User, "user"),
    (Class::El1Kernel, "kernel"),
    (Class::Walk, "walk"),
    (Class::Fetch, "fetch"),
    (Class::Cache, "cache"),
];

/// The board's policy with what the text changes; none when EL2 will not take it.
fn policy(spec: &str) -> Option<Policy> {
    Policy::parse(spec, &Policy::DEFAULT).ok()
}

/// The mechanism that a process of a Linux host sees in the end when it touches lent memory: an unmodified Linux answers
/// some by the very same access, so that the next link of the chain counts. An SDEI event is for our driver.
pub(super) fn seen_by_linux(spec: &str) -> Option<String> {
    let policy = policy(spec)?;
    let chain = policy.chain(Class::El0);
    let links = (0..chain.len()).map(|n| chain.link(n));
    let mut lasting = links.filter(|link| !link.may_loop(Class::El0));
    let last = chain.link(chain.len() - 1);
    Some(lasting.next().unwrap_or(last).to_string())
}

/// What a bare-metal host is told with `expect=`, which sees the first link of each class: `el0:0x10,user:tagged`. It has no
/// handler of events, and unmaps nothing.
pub(super) fn codes(spec: &str) -> Option<String> {
    let policy = policy(spec)?;
    let expected = NAMES
        .iter()
        .filter_map(|(class, name)| match first(policy.chain(*class)) {
            Mechanism::Abort(status) => Some(format!("{name}:{:#x}", status.raw())),
            Mechanism::TaggedAbort => Some(format!("{name}:tagged")),
            Mechanism::Halt
            | Mechanism::NewSyndrome
            | Mechanism::Sdei
            | Mechanism::Decoy
            | Mechanism::ForceReclaim
            | Mechanism::Unmapped => None,
        });
    let expected: Vec<_> = expected.collect();
    (!expected.is_empty()).then(|| expected.join(","))
}

/// The first link that answers a host which has made no preparations.
fn first(chain: &Chain) -> Mechanism {
    let links = (0..chain.len()).map(|n| chain.link(n));
    let mut answering = links.filter(|link| !link.needs_the_host());
    answering.next().unwrap_or(Mechanism::EXTERNAL_ABORT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_sees_what_does_not_make_it_try_again() {
        let seen = |spec| seen_by_linux(spec);
        assert_eq!(seen("el0=alignment-abort,halt").as_deref(), Some("alignment-abort"));
        assert_eq!(seen("el0=sdei,alignment-abort").as_deref(), Some("sdei"));
        assert_eq!(
            codes("el0=sdei,alignment-abort").unwrap().split(',').next(),
            Some("el0:0x21")
        );
        assert_eq!(
            seen("all=tagged-abort,external-abort").as_deref(),
            Some("external-abort")
        );
        assert_eq!(
            seen("all=halt;el0=translation-abort!").as_deref(),
            Some("translation-abort")
        );
        assert_eq!(seen("el0=abort(48)").as_deref(), Some("abort(0x30)"));
        // What the text does not name is the board's, or the named policy's.
        assert_eq!(seen("el1-user=halt").as_deref(), Some("external-abort"));
        assert_eq!(seen("gunyah").as_deref(), Some("external-abort"));
        assert_eq!(seen("nobody"), None);
    }

    #[test]
    fn a_bare_host_sees_the_first_link_of_each_class() {
        let bring_up = "el0:0x10,user:0x21,kernel:0x21,walk:0x21,fetch:0x21,cache:0x21";
        assert_eq!(codes("bring-up").as_deref(), Some(bring_up));
        // A fetch that takes the page back is no abort.
        let shipped = "el0:0x10,user:0x21,kernel:0x11,walk:0x11,cache:0x11";
        assert_eq!(codes("default").as_deref(), Some(shipped));
        let all = codes("all=external-abort;el1-kernel=abort(17),halt").unwrap();
        assert_eq!(all, "el0:0x10,user:0x10,kernel:0x11,walk:0x10,fetch:0x10,cache:0x10");
        let all = codes("gunyah").unwrap();
        assert_eq!(all, "el0:0x10,user:0x10,kernel:0x10,walk:0x10,fetch:0x10,cache:0x10");
        assert_eq!(codes("all=halt;el0=tagged-abort,halt").as_deref(), Some("el0:tagged"));
        assert_eq!(codes("all=halt"), None);
    }
}
