//! What is measured: chains, accesses, and why some of them cannot be made.

/// A policy under which every access is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name in the table.
    pub name: &'static str,
    /// The policy, as `leasehold.fault=` takes it.
    pub fault: &'static str,
    /// What the host's command line has beside.
    pub bootargs: &'static str,
    /// What the host has to have, as `leasectl matrix --needs` takes it.
    pub needs: Option<Need>,
}

/// What a module of ours has to find in a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Lent memory can be taken out of the kernel's map.
    Unmap,
    /// The kernel's answer to an External abort can be hooked.
    Handler,
    /// The kernel has an answer to what pKVM reflects.
    Pkvm,
}

impl Need {
    /// As `leasectl matrix --needs` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Need::Unmap => "unmap",
            Need::Handler => "handler",
            Need::Pkvm => "pkvm",
        }
    }
}

const fn chain(name: &'static str, fault: &'static str) -> Chain {
    Chain {
        name,
        fault,
        bootargs: "",
        needs: None,
    }
}

const fn with(name: &'static str, fault: &'static str, bootargs: &'static str, needs: Option<Need>) -> Chain {
    Chain {
        name,
        fault,
        bootargs,
        needs,
    }
}

/// The chains, in the table's order: each mechanism alone, the shipped policy, and mechanisms with a host that knows them.
/// The mark says that an endless loop, or a link that never answers, is meant.
pub const CHAINS: [Chain; 17] = [
    chain("external-abort", "all=external-abort!"),
    chain("alignment-abort", "all=alignment-abort!"),
    chain("translation-abort", "all=translation-abort!"),
    chain("tag-check-abort", "all=tag-check-abort!"),
    chain("granule-abort", "all=granule-abort!"),
    chain("tagged-abort", "all=tagged-abort!"),
    chain("new-syndrome", "all=new-syndrome!"),
    chain("sdei", "all=sdei!"),
    chain("decoy", "all=decoy!"),
    chain("force-reclaim", "all=force-reclaim!"),
    with("unmapped", "all=unmapped!", "driver=unmap=1", Some(Need::Unmap)),
    chain("halt", "all=halt!"),
    chain("shipped", "default"),
    with("shipped+panic_on_warn", "default", "panic_on_warn=1", None),
    with("shipped+panic_on_oops", "default", "oops=panic", None),
    with(
        "external-abort+handler",
        "all=external-abort!",
        "matrix=handler=1",
        Some(Need::Handler),
    ),
    with(
        "tagged-abort+pkvm",
        "all=tagged-abort!",
        "matrix=pkvm=1",
        Some(Need::Pkvm),
    ),
];

/// A kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its name, as `leasectl touch` has it.
    pub name: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// Why it is not made at all, if so: one of [`REASONS`].
    pub skipped: Option<&'static str>,
}

const fn access(name: &'static str, what: &'static str) -> Access {
    Access {
        name,
        what,
        skipped: None,
    }
}

/// The accesses, in the order in which they are made: those that a kernel is most likely to survive come first.
pub const ACCESSES: [Access; 30] = [
    access("user-read", "a process loads"),
    access("user-write", "a process stores"),
    access("user-exec", "a process executes"),
    access("user32-read", "a 32-bit process loads"),
    access("dma-read", "a device reads"),
    access("dma-write", "a device writes"),
    access("read", "`read(2)` into it"),
    access("write", "`write(2)` from it"),
    access("futex-wait", "`FUTEX_WAIT` on it"),
    access("futex-wake-op", "`FUTEX_WAKE_OP` on it"),
    access("get-user", "`get_user`"),
    access("put-user", "`put_user`"),
    access("kernel-nofault", "`copy_from_kernel_nofault`"),
    access("kernel-zeropad", "`load_unaligned_zeropad` across the edge"),
    access("proc-kcore", "`/proc/kcore`"),
    access("ptrace", "`PTRACE_PEEKDATA`"),
    access("process-vm-readv", "`process_vm_readv`"),
    access("proc-mem", "`/proc/PID/mem`"),
    access("core-dump", "a core dump"),
    access("kernel-read", "the kernel loads"),
    access("kernel-write", "the kernel stores"),
    access("kernel-memcpy", "the kernel's `memcpy`"),
    access("kernel-atomic", "the kernel's `atomic64_inc`"),
    access("kernel-exclusive", "the kernel's `LDXR` and `STXR`"),
    access("kernel-read-nopreempt", "the kernel loads, preemption off"),
    access("kernel-write-nopreempt", "the kernel stores, preemption off"),
    access("kernel-zeropad-irq", "`load_unaligned_zeropad`, in an interrupt"),
    access("kernel-read-irq", "the kernel loads, in an interrupt"),
    access("kernel-write-irq", "the kernel stores, in an interrupt"),
    Access {
        name: "cache-maintenance",
        what: "`DC CIVAC` by the kernel",
        skipped: Some("tcg-cache-maintenance"),
    },
];

/// Why an access cannot be made: the name, and what it means.
pub const REASONS: [(&str, &str); 6] = [
    (
        "tcg-cache-maintenance",
        "QEMU's TCG does nothing for cache maintenance by address, and checks no stage 2 for it",
    ),
    ("no-aarch32", "neither kernel nor CPU runs 32-bit processes"),
    (
        "not-mapped",
        "the kernel has taken the memory out of its own map: the access does not come as far as stage 2",
    ),
    (
        "fixed-kernel-map",
        "the kernel does not let a module take memory out of its map",
    ),
    (
        "no-handler-hook",
        "the module finds no place for a handler of its own in the kernel",
    ),
    (
        "no-pkvm-handler",
        "the kernel knows nothing of pKVM's reflected faults (`pkvm_force_reclaim_guest_page` is not there)",
    ),
];

/// A reason that the list has.
pub fn reason(name: &str) -> Option<&'static str> {
    REASONS.iter().map(|(known, _)| *known).find(|known| *known == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_hyp_core::fault::Policy;
    use std::collections::BTreeSet;

    #[test]
    fn every_chain_is_a_policy_that_el2_takes() {
        for chain in CHAINS {
            assert!(Policy::parse(chain.fault, &Policy::DEFAULT).is_ok(), "{}", chain.name);
        }
    }

    #[test]
    fn names_are_unique_and_reasons_known() {
        let chains: BTreeSet<_> = CHAINS.iter().map(|chain| chain.name).collect();
        let accesses: BTreeSet<_> = ACCESSES.iter().map(|access| access.name).collect();
        assert_eq!((chains.len(), accesses.len()), (CHAINS.len(), ACCESSES.len()));
        for access in ACCESSES {
            assert_eq!(access.skipped.and_then(reason), access.skipped);
        }
    }
}
