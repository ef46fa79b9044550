//! Which chain to choose for which host, and the cells that say so. Advice that the cells contradict is not given.

use super::cell::Outcome;
use super::results::{self, Cell};
use anyhow::{Result, bail};
use std::fmt::Write as _;

/// For a kind of host, what to choose, and why.
struct Advice {
    host: &'static str,
    choose: &'static str,
    why: &'static str,
    claims: &'static [Claim],
}

/// What some cells of a chain have to be, on every kernel that the chain can be tried on.
struct Claim {
    chain: &'static str,
    /// None: all of the chain's.
    accesses: &'static [&'static str],
    is: Is,
}

/// What a cell has to be.
enum Is {
    /// The kernel lives, and has neither ended a task of its own accord nor warned.
    Lives,
    /// One of these outcomes.
    One(&'static [Outcome]),
}

const fn claim(chain: &'static str, accesses: &'static [&'static str], is: Is) -> Claim {
    Claim { chain, accesses, is }
}

use Outcome::{EFault, FixUp, Hang, Loop, NoEffect, Oops, Panic, SigBus, SigSegv};

const EL0: &[&str] = &["user-read", "user-write", "user-exec"];
const UACCESS: &[&str] = &["read", "write", "futex-wait", "get-user", "put-user"];
const ZEROPAD: &[&str] = &["kernel-zeropad", "kernel-zeropad-irq"];
const KERNEL: &[&str] = &[
    "kernel-read",
    "kernel-write",
    "kernel-memcpy",
    "kernel-atomic",
    "ptrace",
    "core-dump",
];
const FUTEX: &[&str] = &["futex-wake-op"];
const IRQ: &[&str] = &["kernel-read-irq", "kernel-write-irq"];

const ADVICE: [Advice; 7] = [
    Advice {
        host: "A stock Linux, also with `panic_on_warn` or `panic_on_oops`",
        choose: "the shipped policy (`default`)",
        why: "Nothing that was tried ends a task of the kernel's or draws a warning. A process is told by SIGBUS, a system \
              call by EFAULT, fix-ups run; what the kernel does without a fix-up goes on, on a page that is nobody's, and \
              the fault record names the instruction",
        claims: &[
            claim("shipped", &[], Is::Lives),
            claim("shipped+panic_on_warn", &[], Is::Lives),
            claim("shipped+panic_on_oops", &[], Is::Lives),
            claim("shipped", EL0, Is::One(&[SigBus])),
            claim("shipped", UACCESS, Is::One(&[EFault])),
            claim("shipped", ZEROPAD, Is::One(&[FixUp])),
        ],
    },
    Advice {
        host: "A Linux whose handler of External aborts tries fix-ups first",
        choose: "`external-abort` for EL0, `external-abort,decoy,force-reclaim` at user addresses, and the shipped chain at \
                 kernel addresses",
        why: "To the accesses that have a fix-up, the exception that the architecture has for memory which does not answer is \
              then as good as any. An access without one is an oops still, a panic in an interrupt, and `FUTEX_WAKE_OP` comes \
              back for ever. Without such a handler this abort is for EL0 alone",
        claims: &[
            claim("external-abort+handler", EL0, Is::One(&[SigBus])),
            claim("external-abort+handler", UACCESS, Is::One(&[EFault])),
            claim("external-abort+handler", ZEROPAD, Is::One(&[FixUp])),
            claim("external-abort+handler", KERNEL, Is::One(&[Oops])),
            claim("external-abort+handler", IRQ, Is::One(&[Panic])),
            claim("external-abort+handler", FUTEX, Is::One(&[Loop])),
            claim("external-abort", UACCESS, Is::One(&[Oops])),
            claim("external-abort", &["kernel-zeropad"], Is::One(&[Oops])),
            claim("external-abort", &["kernel-zeropad-irq"], Is::One(&[Panic])),
        ],
    },
    Advice {
        host: "A Linux that knows pKVM's reflected faults, and takes EL2 for pKVM",
        choose: "`tagged-abort` for EL0, `tagged-abort,decoy,force-reclaim` at user addresses, and the shipped chain at kernel \
                 addresses",
        why: "Processes get SIGSEGV and fix-ups run. For an access without one the kernel asks pKVM for the page, by a call \
              that is private to one version of it and that EL2 does not have: a warning, and an oops. Any other kernel makes \
              the same access for ever",
        claims: &[
            claim("tagged-abort+pkvm", EL0, Is::One(&[SigSegv])),
            claim("tagged-abort+pkvm", UACCESS, Is::One(&[EFault])),
            claim("tagged-abort+pkvm", ZEROPAD, Is::One(&[FixUp])),
            claim("tagged-abort+pkvm", KERNEL, Is::One(&[Oops])),
            claim("tagged-abort+pkvm", IRQ, Is::One(&[Panic])),
            claim("tagged-abort+pkvm", FUTEX, Is::One(&[Loop])),
            claim("tagged-abort", EL0, Is::One(&[Loop])),
            claim("tagged-abort", UACCESS, Is::One(&[Loop])),
            claim("tagged-abort", KERNEL, Is::One(&[Loop])),
        ],
    },
    Advice {
        host: "A host whose own bugs are to be told as its own",
        choose: "the driver's `unmap=1`, and `unmapped` before the shipped links at kernel addresses",
        why: "What the kernel does not map it cannot touch by mistake: its access is a page fault of stage 1, with a fix-up or \
              an oops that names the culprit, and EL2 does not see it",
        claims: &[
            claim("unmapped", EL0, Is::One(&[SigBus])),
            claim("unmapped", ZEROPAD, Is::One(&[FixUp])),
            claim("unmapped", &["kernel-nofault"], Is::One(&[EFault])),
            claim("unmapped", KERNEL, Is::One(&[Oops])),
            claim("unmapped", IRQ, Is::One(&[Panic])),
        ],
    },
    Advice {
        host: "A host whose work matters more than the guest's",
        choose: "`force-reclaim` for every class",
        why: "Every access goes through, for a fetch and an exclusive too, and it is the borrower that ends. The one who \
              touched is not told",
        claims: &[claim("force-reclaim", &[], Is::One(&[NoEffect]))],
    },
    Advice {
        host: "A host that is brought up, or a bug that is looked for",
        choose: "`halt`, or the policy `bring-up`",
        why: "The CPU stops at the access, with a dump of it",
        claims: &[
            claim("halt", EL0, Is::One(&[Hang])),
            claim("halt", KERNEL, Is::One(&[Hang])),
        ],
    },
    Advice {
        host: "No host",
        choose: "a single abort for every class",
        why: "Each is a loop, an oops or a panic for accesses that a kernel makes of its own accord. `alignment-abort` and \
              `tag-check-abort` run fix-ups, and are good first links; nothing has to be said for the others",
        claims: &[
            claim("alignment-abort", KERNEL, Is::One(&[Oops])),
            claim("alignment-abort", IRQ, Is::One(&[Panic])),
            claim("alignment-abort", UACCESS, Is::One(&[EFault])),
            claim("translation-abort", EL0, Is::One(&[Loop])),
            claim("translation-abort", KERNEL, Is::One(&[Loop])),
            claim("tag-check-abort", UACCESS, Is::One(&[EFault])),
            claim("tag-check-abort", KERNEL, Is::One(&[Loop])),
            claim("granule-abort", UACCESS, Is::One(&[Oops])),
            claim("granule-abort", IRQ, Is::One(&[Panic])),
            claim("new-syndrome", IRQ, Is::One(&[Panic])),
        ],
    },
];

impl Is {
    fn holds(&self, cell: &Cell) -> bool {
        match self {
            Is::Lives => {
                let told = matches!(
                    cell.outcome,
                    NoEffect | SigBus | SigSegv | Outcome::SigKill | EFault | FixUp
                );
                told && cell.alive
            }
            Is::One(outcomes) => outcomes.contains(&cell.outcome),
        }
    }

    fn words(&self) -> String {
        match self {
            Is::Lives => "the kernel lives, with no warning and no oops".to_owned(),
            Is::One(outcomes) => outcomes
                .iter()
                .map(|outcome| outcome.name())
                .collect::<Vec<_>>()
                .join(" or "),
        }
    }
}

impl Claim {
    /// Whether it holds: an error where it does not, and no where there are no cells for it.
    fn check(&self, cells: &[Cell]) -> Result<bool> {
        let of_chain = |cell: &&Cell| cell.chain == self.chain;
        let named = |cell: &&Cell| self.accesses.is_empty() || self.accesses.contains(&cell.access);
        let made: Vec<&Cell> = cells
            .iter()
            .filter(|cell| of_chain(cell) && named(cell) && !cell.is_skipped())
            .collect();
        if let Some(cell) = made.iter().find(|cell| !self.is.holds(cell)) {
            bail!(
                "the advice says of {} {}: {}; the cell of {} says {}",
                self.chain,
                cell.access,
                self.is.words(),
                cell.kernel,
                cell.text()
            );
        }
        let is_there = |access: &&str| made.iter().any(|cell| cell.access == *access);
        Ok(!made.is_empty() && self.accesses.iter().all(is_there))
    }

    fn words(&self) -> String {
        let accesses = match self.accesses {
            [] => "every access".to_owned(),
            accesses => accesses.join(", "),
        };
        format!("`{}`: {accesses}: {}", self.chain, self.is.words())
    }
}

/// The advice, as Markdown; none where cells that it needs have not been filled.
///
/// # Errors
/// When a cell contradicts it.
pub fn markdown(cells: &[Cell]) -> Result<Option<String>> {
    let mut complete = true;
    for claim in ADVICE.iter().flat_map(|advice| advice.claims) {
        complete &= claim.check(cells)?;
    }
    if !complete {
        return Ok(None);
    }
    let kernels = results::unique(cells, |cell| cell.kernel.as_str()).join(", ");
    let mut text = "### Which chain for which host\n\n".to_owned();
    for advice in &ADVICE {
        let _ = writeln!(text, "- **{}: {}.** {}.", advice.host, advice.choose, advice.why);
        for claim in advice.claims {
            let _ = writeln!(text, "  - {}", claim.words());
        }
    }
    let _ = writeln!(
        text,
        "\nEach line below a choice holds in the cells of {kernels} above, where it can be tried."
    );
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::super::plan::{ACCESSES, CHAINS};
    use super::*;

    /// Cells that are as the advice says, and else let the kernel live.
    fn agreeing() -> Vec<Cell> {
        let mut cells = Vec::new();
        for (chain, access) in CHAINS
            .iter()
            .flat_map(|chain| ACCESSES.iter().map(move |access| (chain, access)))
        {
            let claims = || ADVICE.iter().flat_map(|advice| advice.claims);
            let said = claims().find_map(|claim| match &claim.is {
                Is::One(outcomes) if claim.chain == chain.name && claim.accesses.contains(&access.name) => {
                    outcomes.first()
                }
                _ => None,
            });
            let outcome = said.copied().unwrap_or(NoEffect);
            cells.push(results::tests::cell(chain.name, access.name, outcome, true));
        }
        cells
    }

    #[test]
    fn claims_are_about_what_is_measured() {
        for claim in ADVICE.iter().flat_map(|advice| advice.claims) {
            assert!(CHAINS.iter().any(|chain| chain.name == claim.chain), "{}", claim.chain);
            for name in claim.accesses {
                assert!(ACCESSES.iter().any(|access| access.name == *name), "{name}");
            }
        }
    }

    #[test]
    fn advice_is_given_where_all_cells_agree() {
        let text = markdown(&agreeing()).unwrap().unwrap();
        assert!(
            text.contains("- **A stock Linux") && text.contains("  - `halt`: user-read, "),
            "{text}"
        );
    }

    #[test]
    fn a_cell_that_contradicts_it_is_an_error() {
        for (chain, access, outcome, alive) in [
            ("shipped", "kernel-write-irq", Panic, false),
            ("shipped+panic_on_warn", "ptrace", Outcome::Warning, true),
            ("shipped+panic_on_oops", "dma-read", NoEffect, false),
            ("shipped", "get-user", NoEffect, true),
            ("halt", "kernel-read", Oops, true),
        ] {
            let mut cells = agreeing();
            cells.push(results::tests::cell(chain, access, outcome, alive));
            let error = markdown(&cells).unwrap_err().to_string();
            assert!(error.contains(chain) && error.contains(access), "{error}");
        }
    }

    #[test]
    fn cells_that_are_not_there_back_nothing() {
        let without = |chain: &str| {
            agreeing()
                .into_iter()
                .filter(|cell| cell.chain != chain)
                .collect::<Vec<_>>()
        };
        assert_eq!(markdown(&without("halt")).unwrap(), None);
        let mut cells = agreeing();
        cells.retain(|cell| (cell.chain, cell.access) != ("shipped", "user-exec"));
        assert_eq!(markdown(&cells).unwrap(), None);
        // What cannot be made is no contradiction.
        let mut cells = agreeing();
        cells.push(results::tests::cell(
            "shipped",
            "user32-read",
            Outcome::NotApplicable("no-aarch32"),
            true,
        ));
        assert!(markdown(&cells).unwrap().is_some());
    }
}
