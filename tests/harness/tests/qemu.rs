//! Runs the scenarios, with the command line of any Rust test.
//!
//! `cargo xtask test` builds what they need and says where it is. Without that, as in a plain `cargo test`, those that
//! need it are skipped, and all of them where there is no QEMU. `LEASEHOLD_QUICK` set skips those that boot Linux;
//! `LEASEHOLD_ARTIFACTS=none` has no scenarios at all, for a run that others do.

use leasehold_tests::artifacts::{self, Artifacts};
use leasehold_tests::scenarios::{self, Needs, Scenario};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

/// How many machines run at a time when the command line does not say.
const AT_A_TIME: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_A_TIME);
    if std::env::var_os(artifacts::VARIABLE).is_some_and(|path| path == "none") {
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    let built = match Artifacts::from_environment() {
        Ok(built) => built,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let skips = Skips {
        built: built.is_some(),
        qemu: true,
        quick: std::env::var_os("LEASEHOLD_QUICK").is_some(),
    };
    let artifacts = built.unwrap_or_else(|| Artifacts {
        qemu: own_qemu(),
        ..Artifacts::default()
    });
    let skips = Skips {
        qemu: answers(&artifacts.qemu),
        ..skips
    };
    let artifacts = Arc::new(artifacts);
    let trials = scenarios::all()
        .into_iter()
        .map(|scenario| trial(scenario, skips, Arc::clone(&artifacts)))
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(scenario: Scenario, skips: Skips, artifacts: Arc<Artifacts>) -> Trial {
    Trial::ignorable_test(scenario.name.clone(), move || match skips.reason(scenario.needs) {
        Some(reason) => Ok(Completion::ignored_with(reason)),
        None => match scenario.run(&artifacts) {
            Ok(()) => Ok(Completion::Completed),
            Err(error) => Err(Failed::from(error.to_string())),
        },
    })
}

/// Why scenarios may be skipped.
#[derive(Clone, Copy)]
struct Skips {
    /// Whether what they run was built.
    built: bool,
    /// Whether there is a QEMU.
    qemu: bool,
    /// Whether Linux is left out.
    quick: bool,
}

impl Skips {
    fn reason(self, needs: Needs) -> Option<&'static str> {
        if !self.qemu {
            Some("there is no QEMU")
        } else if self.quick && needs == Needs::Linux {
            Some("boots Linux")
        } else if !self.built && needs > Needs::Qemu {
            Some("needs `cargo xtask test`")
        } else {
            None
        }
    }
}

fn own_qemu() -> PathBuf {
    std::env::var_os("LEASEHOLD_QEMU").map_or_else(|| "qemu-system-aarch64".into(), PathBuf::from)
}

fn answers(qemu: &PathBuf) -> bool {
    let status = Command::new(qemu)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
