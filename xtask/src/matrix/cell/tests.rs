//! The judge, on what real machines have written.

use super::*;

/// A cell with the words of `leasectl matrix`, as a console shows them.
fn observed(access: &str, words: &[&str], broke: Broke) -> Observed {
    let line = |words: &&str| match words.split_once(' ') {
        // What is the kernel's own stands as it is.
        Some(("host:", text)) => format!("[   12.345678] {text}"),
        _ => format!("[   12.345678] LH-CELL {access} {words}"),
    };
    Observed {
        host: words.iter().map(line).collect(),
        el2: Vec::new(),
        broke,
    }
}

/// What is judged of an access after which the kernel is well.
fn survived(seen: &str, console: &[&str]) -> Outcome {
    let seen = format!("seen {seen}");
    let words = [
        &["begin"],
        console,
        &[seen.as_str(), "touches 1", "alive yes", "end clean"],
    ]
    .concat();
    let verdict = observed("kernel-read", &words, Broke::No).judge("kernel-read", false);
    assert!(verdict.alive);
    verdict.outcome
}

const OOPS: &str = "host: Internal error: synchronous external abort: 0000000096000010 [#1] SMP";
const WARN: &str = "host: WARNING: CPU: 1 PID: 87 at arch/arm64/mm/fault.c:390 __do_kernel_fault+0x1e4/0x1f0";
const REFUSED: &str = "refused: Record { toucher: Cpu { cpu: 1, class: El1Kernel, mechanism: \"translation-abort\" } }";

#[test]
fn signals_errors_and_fixups_are_what_was_seen() {
    for (seen, outcome) in [
        ("signal SIGBUS 3", Outcome::SigBus),
        ("killed SIGBUS", Outcome::SigBus),
        ("signal SIGSEGV 9", Outcome::SigSegv),
        ("killed SIGKILL", Outcome::SigKill),
        ("error EFAULT", Outcome::EFault),
        ("error EIO", Outcome::EFault),
        ("right", Outcome::FixUp),
        ("done", Outcome::NoEffect),
        ("stuck", Outcome::Loop),
    ] {
        assert_eq!(survived(seen, &[]), outcome, "{seen}");
    }
}

#[test]
fn what_nobody_has_thought_of_is_unknown() {
    for seen in [
        "wrong 0x1",
        "error EPERM",
        "killed SIGABRT",
        "broken exit status: 1",
        "skipped because",
        "late",
        "",
    ] {
        assert_eq!(survived(seen, &[]), Outcome::Unknown, "{seen}");
    }
}

#[test]
fn the_console_goes_before_what_a_process_has_seen() {
    // An oops ends a task as if by a signal.
    assert_eq!(survived("killed SIGSEGV", &[OOPS]), Outcome::Oops);
    assert_eq!(survived("done", &[WARN]), Outcome::Warning);
}

#[test]
fn an_access_that_el2_has_not_seen_is_unknown() {
    let words = ["begin", "seen done", "touches 0", "alive yes", "end clean"];
    let verdict = observed("dma-read", &words, Broke::No).judge("dma-read", false);
    assert_eq!((verdict.outcome, verdict.alive), (Outcome::Unknown, true));
    // An oops that has nothing to do with it is none of it.
    let words = [
        "begin",
        OOPS,
        "seen killed SIGSEGV",
        "touches 0",
        "alive yes",
        "end clean",
    ];
    let verdict = observed("kernel-read", &words, Broke::No).judge("kernel-read", false);
    assert_eq!(verdict.outcome, Outcome::Unknown);
    // What was not made needs no touch.
    let words = [
        "begin",
        "seen skipped no-aarch32",
        "touches 0",
        "alive yes",
        "end clean",
    ];
    let verdict = observed("user32-read", &words, Broke::No).judge("user32-read", false);
    assert_eq!(verdict.outcome, Outcome::NotApplicable("no-aarch32"));
}

#[test]
fn a_kernel_that_is_not_well_has_no_mere_oops() {
    let words = [
        "begin",
        OOPS,
        "seen killed SIGSEGV",
        "touches 1",
        "alive no",
        "end dirty",
    ];
    let verdict = observed("kernel-read", &words, Broke::No).judge("kernel-read", false);
    assert_eq!((verdict.outcome, verdict.alive), (Outcome::Hang, false));
}

#[test]
fn a_loop_that_cannot_be_killed_says_whether_others_live() {
    for (alive, expected) in [("alive yes", true), ("alive no", false)] {
        let words = ["begin", WARN, "seen looping", "touches 900", alive, "end dirty"];
        let verdict = observed("kernel-read", &words, Broke::No).judge("kernel-read", false);
        assert_eq!((verdict.outcome, verdict.alive), (Outcome::Loop, expected));
    }
    let words = ["begin", "seen hanging", "touches 1", "alive no", "end dirty"];
    let verdict = observed("kernel-read", &words, Broke::No).judge("kernel-read", false);
    assert_eq!(verdict.outcome, Outcome::Hang);
}

#[test]
fn a_panic_is_one_however_the_run_ended() {
    let panic = "host: Kernel panic - not syncing: Oops: Fatal exception in interrupt";
    for broke in [Broke::Exited, Broke::Silent] {
        let verdict = observed("kernel-read-irq", &["begin", OOPS, panic], broke).judge("kernel-read-irq", false);
        assert_eq!((verdict.outcome, verdict.alive), (Outcome::Panic, false));
    }
}

#[test]
fn silence_is_a_loop_where_el2_is_busy_and_else_a_hang() {
    let silent = |el2: &[String]| {
        let mut observed = observed("kernel-read-irq", &["begin"], Broke::Silent);
        observed.el2 = el2.to_vec();
        observed.judge("kernel-read-irq", false).outcome
    };
    assert_eq!(silent(&[]), Outcome::Hang);
    assert_eq!(silent(&[format!("{REFUSED} (0 like it not shown)")]), Outcome::Hang);
    let many = format!("{REFUSED} (81923 like it not shown)");
    assert_eq!(
        silent(&[format!("{REFUSED} (0 like it not shown)"), many]),
        Outcome::Loop
    );
}

#[test]
fn el2_halts_by_policy_or_fails() {
    let stopped = |words: &str| {
        let broke = Broke::El2Stopped(format!("EL2 stopped: {words}"));
        observed("kernel-read", &["begin"], broke)
            .judge("kernel-read", false)
            .outcome
    };
    let halted = "CPU 1 halted by the fault policy: class el1-kernel";
    assert_eq!(stopped(halted), Outcome::Hang);
    assert_eq!(stopped("panicked at src/lib.rs:1"), Outcome::Unknown);
}

#[test]
fn an_end_without_a_word_is_unknown() {
    let verdict = observed("kernel-read", &["begin"], Broke::Exited).judge("kernel-read", false);
    assert_eq!(verdict.outcome, Outcome::Unknown);
}

#[test]
fn what_the_kernel_has_unmapped_does_not_come_to_el2() {
    for (seen, console, expected) in [
        ("seen error EFAULT", None, Outcome::EFault),
        ("seen killed SIGSEGV", Some(OOPS), Outcome::Oops),
        ("seen done", None, Outcome::NotApplicable("not-mapped")),
    ] {
        let words: Vec<&str> = ["begin"]
            .into_iter()
            .chain(console)
            .chain([seen, "touches 0", "alive yes"])
            .collect();
        let observed = observed("kernel-read", &words, Broke::No);
        assert_eq!(observed.judge("kernel-read", true).outcome, expected, "{seen}");
        assert_eq!(observed.judge("kernel-read", false).outcome, Outcome::Unknown, "{seen}");
    }
}

#[test]
fn what_the_host_does_not_have_is_skipped_and_no_failure() {
    let words = ["begin", "seen skipped no-pkvm-handler", "end clean"];
    let verdict = observed("kernel-read", &words, Broke::No).judge("kernel-read", false);
    assert_eq!(
        (verdict.outcome, verdict.alive),
        (Outcome::NotApplicable("no-pkvm-handler"), true)
    );
}

#[test]
fn zeroes_that_el2_has_given_are_no_fix_up() {
    for (mechanism, expected) in [
        ("MECHANISM_ABORT 0x11", Outcome::FixUp),
        ("MECHANISM_DECOY 0x0", Outcome::NoEffect),
        ("MECHANISM_FORCE_RECLAIM 0x0", Outcome::NoEffect),
    ] {
        let culprit = format!("culprit 12 CPU 1 CLASS_EL1_KERNEL lent to VM 2: {mechanism}");
        let words = [
            "begin",
            "seen right",
            "touches 1",
            culprit.as_str(),
            "alive yes",
            "end clean",
        ];
        let verdict = observed("kernel-zeropad", &words, Broke::No).judge("kernel-zeropad", false);
        assert_eq!(verdict.outcome, expected, "{mechanism}");
    }
}
