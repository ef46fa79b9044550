//! The harness against a QEMU that is none: one that hangs, dies, floods, or does what it should.

use leasehold_tests::{Board, End, Error, Machine, Run, Source, StepsError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(20);
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../flash/tests/fixture");

fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn fake<const N: usize>(name: &str, orders: [&str; N]) -> Machine {
    let args = ["-fake"].into_iter().chain(orders);
    Machine::bare(name)
        .dir(dir(name))
        .qemu(env!("CARGO_BIN_EXE_fake-qemu"))
        .args(args)
}

/// A fake that has the log of the decoder's own tests to write.
fn fake_el2<const N: usize>(name: &str, orders: [&str; N]) -> Machine {
    let image = dir(&format!("{name}.img"));
    std::fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::write(&image, image_header()).unwrap();
    let board = Board {
        elf: format!("{FIXTURE}/fixture.elf").into(),
        image,
    };
    let args = ["-fake"].into_iter().chain(orders);
    Machine::leasehold(name, board)
        .dir(dir(name))
        .qemu(env!("CARGO_BIN_EXE_fake-qemu"))
        .args(args)
}

fn image_header() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[56..60].copy_from_slice(b"ARM\x64");
    header
}

/// The process id that the fake says it has.
fn pid(run: &mut Run) -> String {
    let line = run.wait_for_on(Source::Host, "pid ", SOON).unwrap();
    line.text.trim_start_matches("pid ").to_owned()
}

/// Whether the process is gone, or soon goes.
fn is_gone(pid: &str) -> bool {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        // A process that has ended and is not yet waited for is a zombie.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

#[test]
fn a_run_that_goes_well() {
    let orders = ["host:one\r\nLH-STEP lend\tok\t4 pages\nLH-DONE 1 0\nno end", "exit:0"];
    let outcome = fake("good", orders)
        .start()
        .unwrap()
        .finish_steps(SOON, &["lend"])
        .unwrap();
    assert!(outcome.end.is_success());
    let texts: Vec<_> = outcome.of(Source::Host).map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "LH-STEP lend\tok\t4 pages", "LH-DONE 1 0", "no end"]);
    assert!(
        std::fs::read(dir("good").join("host.log"))
            .unwrap()
            .starts_with(b"one\r\nLH-STEP")
    );
}

#[test]
fn a_step_that_is_missing_fails_the_run() {
    let run = fake("missing", ["host:LH-STEP lend\tok\t\nLH-DONE 1 0\n"])
        .start()
        .unwrap();
    let Error::Steps { error, report } = run.finish_steps(SOON, &["reclaim"]).unwrap_err() else {
        panic!()
    };
    assert_eq!(error, StepsError::Missing(vec!["reclaim".into()]));
    assert!(report.to_string().contains("host | LH-DONE 1 0"), "{report}");
}

#[test]
fn input_reaches_the_host() {
    let mut run = fake("echo", ["host:login: ", "echo"]).start().unwrap();
    run.wait_for("login:", SOON).expect("a prompt has no line end");
    run.send(b"hello\n").unwrap();
    // A line that has not ended yet counts too: what is waited for is all of it.
    assert_eq!(run.wait_for("echo hello", SOON).unwrap().text, "echo hello");
    run.send(b"quit\n").unwrap();
    assert!(run.finish(SOON).end.is_success());
}

#[test]
fn qemu_that_dies_is_reported_with_its_own_words() {
    let mut run = fake("dies", ["deaf", "stderr:no such device", "exit:3"])
        .start()
        .unwrap();
    let error = run.wait_for("anything", SOON).unwrap_err();
    let Error::Ended {
        end: End::Exited(status),
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(status.code(), Some(3));
    assert!(error.to_string().contains("qemu | no such device"), "{error}");
    assert!(error.to_string().contains("host | (nothing)"), "{error}");
}

#[test]
fn qemu_that_is_killed_is_reported_with_the_signal() {
    let mut run = fake("killed-qemu", ["host:last words\n", "pid", "hang"])
        .start()
        .unwrap();
    let pid = pid(&mut run);
    assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let error = run.wait_for("more", SOON).unwrap_err();
    assert!(matches!(&error, Error::Ended { end: End::Exited(status), .. } if !status.success()));
    assert!(error.to_string().contains("signal: 9"), "{error}");
    assert!(error.to_string().contains("host | last words"), "{error}");
}

#[test]
fn a_qemu_that_is_not_there_is_reported() {
    let machine = fake("nowhere", []).qemu("/nowhere/qemu");
    let outcome = match machine.start() {
        Ok(run) => run.finish(SOON),
        Err(error) => return assert!(error.to_string().contains("/nowhere/qemu"), "{error}"),
    };
    assert!(!outcome.end.is_success());
    assert!(
        outcome.report().to_string().contains("/nowhere/qemu"),
        "{}",
        outcome.report()
    );
}

#[test]
fn a_run_that_hangs_is_ended_by_its_limit() {
    let machine = fake("hangs", ["pid", "host:last words\n", "hang"]).limit(Some(Duration::from_secs(1)));
    let mut run = machine.start().unwrap();
    let pid = pid(&mut run);
    let error = run.wait_for("more", SOON).unwrap_err();
    let Error::Ended {
        end: End::TimedOut(limit),
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*limit, Duration::from_secs(1));
    assert!(error.to_string().contains("host | last words"), "{error}");
    assert!(is_gone(&pid));
}

#[test]
fn waiting_has_a_limit_of_its_own() {
    let mut run = fake("waits", ["pid", "hang"]).start().unwrap();
    let pid = pid(&mut run);
    let error = run.wait_for("more", Duration::from_millis(100)).unwrap_err();
    assert!(matches!(error, Error::NotSeen { .. }), "{error}");
    let outcome = run.finish(Duration::from_millis(100));
    assert_eq!(outcome.end, End::TimedOut(Duration::from_millis(100)));
    assert!(is_gone(&pid));
}

#[test]
fn a_flood_ends_the_run() {
    let outcome = fake("floods", ["flood"]).start().unwrap().finish(SOON);
    assert_eq!(outcome.end, End::Flooded(Source::Host));
    std::fs::remove_dir_all(outcome.dir).unwrap();
}

#[test]
fn the_log_of_el2_and_the_guests_come_beside_the_host() {
    let log = format!("el2:{FIXTURE}/fixture.bin");
    let mut run = fake_el2("streams", ["host:before\n", &log, "hang"]).start().unwrap();
    let line = run.wait_for_on(Source::El2, "refused", SOON).unwrap();
    assert_eq!(line.level(), Some(leasehold_tests::Level::Warn));
    assert!(
        run.wait_for_on(Source::Guest(2), "raw", SOON)
            .unwrap()
            .text
            .contains("\x1b[31m")
    );
    // The log's last line is one of EL2 that stops: the run is over at once.
    let outcome = run.finish(SOON);
    assert_eq!(outcome.end, End::El2Stopped("EL2 stopped: as it should".into()));
    let guest: Vec<_> = outcome.of(Source::Guest(2)).map(|line| line.text.as_str()).collect();
    assert_eq!(guest[1..], ["bye", "bye"]);
    assert!(
        outcome.report().to_string().contains("vm2  | raw \\u{0}"),
        "{}",
        outcome.report()
    );
    let dir = dir("streams");
    assert_eq!(
        std::fs::read(dir.join("el2.bin")).unwrap(),
        std::fs::read(format!("{FIXTURE}/fixture.bin")).unwrap()
    );
    assert!(
        std::fs::read(dir.join("vm2.log"))
            .unwrap()
            .ends_with(b"\"bytes\"\r\nbye\r\nbye")
    );
    let log = std::fs::read_to_string(dir.join("el2.log")).unwrap();
    assert!(
        log.contains("0.004000 WARN  refused: Refused { ipa: 2147487744, vmid: 3 } (/src/src/main.rs:"),
        "{log}"
    );
}

#[test]
fn what_el2_says_behind_its_end_is_still_taken_in() {
    let log = format!("el2:{FIXTURE}/fixture.bin");
    let run = fake_el2("dump", [&log, "sleep:100", &log, "hang"]).start().unwrap();
    let outcome = run.finish(SOON);
    assert_eq!(outcome.end, End::El2Stopped("EL2 stopped: as it should".into()));
    let ends = outcome
        .of(Source::El2)
        .filter(|line| line.text.starts_with("EL2 stopped"));
    assert_eq!(ends.count(), 2);
}

#[test]
fn a_dropped_run_ends_qemu() {
    let mut run = fake("dropped", ["pid", "hang"]).start().unwrap();
    let pid = pid(&mut run);
    drop(run);
    assert!(is_gone(&pid));
}

#[test]
fn a_panic_ends_qemu() {
    let mut run = fake("panics", ["pid", "hang"]).start().unwrap();
    let pid = pid(&mut run);
    let result = catch_unwind(AssertUnwindSafe(move || {
        let _run = run;
        panic!("as a test that fails does");
    }));
    assert!(result.is_err());
    assert!(is_gone(&pid));
}

#[test]
fn a_harness_that_is_killed_takes_qemu_with_it() {
    const VICTIM: &str = "LEASEHOLD_TEST_VICTIM";
    let file = dir("killed").join("pid");
    if std::env::var_os(VICTIM).is_some() {
        let mut run = fake("killed", ["pid", "hang"]).start().unwrap();
        std::fs::write(file, pid(&mut run)).unwrap();
        run.finish(SOON);
        return;
    }
    if !Path::new("/usr/bin/setpriv").exists() {
        return;
    }
    let _ = std::fs::remove_file(&file);
    let mut other = Command::new(std::env::current_exe().unwrap());
    other
        .args(["--exact", "a_harness_that_is_killed_takes_qemu_with_it"])
        .env(VICTIM, "1")
        .stdout(Stdio::null());
    let mut other = other.spawn().unwrap();
    let until = Instant::now() + SOON;
    let pid = loop {
        match std::fs::read_to_string(&file) {
            Ok(pid) if !pid.is_empty() => break pid,
            _ if Instant::now() > until => panic!("the other process did not start its machine"),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(is_gone(&pid));
}

#[test]
fn what_is_not_there_or_no_image_is_an_error_at_once() {
    let error = fake("no-kernel", []).kernel("/nowhere/Image").start().err().unwrap();
    assert!(error.to_string().contains("/nowhere/Image"), "{error}");
    let error = fake("no-image", [])
        .kernel(format!("{FIXTURE}/fixture.elf"))
        .start()
        .err()
        .unwrap();
    assert!(matches!(error, Error::NotAnImage(_)), "{error}");
}
