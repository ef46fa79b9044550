//! The tests of the whole system, a file per topic.
//!
//! A new file gives its scenarios to [`all`]. A scenario is good when it returns; it fails by an error or a panic.

mod access;
mod bad_input;
mod bench;
mod builds;
mod entry;
mod firmware;
mod host;
mod linux;
mod machine;
mod machines;
mod maps;
mod matrix;
mod options;
mod policies;
mod returns;
mod sabotage;
mod sdei;
mod served;
mod twin;
mod units;

pub use host::DEMO as HOST_DEMO;
pub use linux::DEMO as LINUX_DEMO;

use crate::artifacts::{Artifacts, LinuxHost};
use crate::hardware::Hardware;
use crate::machine::{Board, Machine};
use crate::report::Outcome;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// How long a scenario's machine runs at most.
pub const LIMIT: Duration = Duration::from_secs(120);

/// What a scenario comes to.
pub type Verdict = Result<(), Box<dyn Error + Send + Sync>>;

/// What a scenario cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// QEMU alone.
    Qemu,
    /// Leasehold, and bare-metal hosts and guests.
    Board,
    /// Also a Linux host.
    Linux,
}

/// A test of the whole system.
pub struct Scenario {
    /// Its name, `TOPIC/CASE`; its streams go to the folder of that name.
    pub name: String,
    /// What it cannot do without.
    pub needs: Needs,
    run: Box<dyn Fn(&Context<'_>) -> Verdict + Send + Sync>,
}

impl Scenario {
    /// A scenario.
    pub fn new(
        name: impl Into<String>,
        needs: Needs,
        run: impl Fn(&Context<'_>) -> Verdict + Send + Sync + 'static,
    ) -> Scenario {
        Scenario {
            name: name.into(),
            needs,
            run: Box::new(run),
        }
    }

    /// Runs it on what was built.
    ///
    /// # Errors
    /// When it fails.
    pub fn run(&self, artifacts: &Artifacts) -> Verdict {
        (self.run)(&Context {
            name: &self.name,
            artifacts,
        })
    }
}

/// Every scenario.
pub fn all() -> Vec<Scenario> {
    [
        machine::scenarios(),
        units::scenarios(),
        bad_input::scenarios(),
        options::scenarios(),
        host::scenarios(),
        builds::scenarios(),
        entry::scenarios(),
        machines::scenarios(),
        sabotage::scenarios(),
        maps::scenarios(),
        bench::scenarios(),
        linux::scenarios(),
        policies::scenarios(),
        firmware::scenarios(),
        returns::scenarios(),
        served::scenarios(),
        sdei::scenarios(),
        access::scenarios(),
        matrix::scenarios(),
        twin::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What a scenario runs on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    name: &'a str,
    artifacts: &'a Artifacts,
}

impl Context<'_> {
    /// A board's image by how it was built: `release` or `dev`, or a feature's name, with `-dev` behind it where it was
    /// not optimised.
    ///
    /// # Errors
    /// When it was not built.
    pub fn board(&self, build: &str) -> Result<Board, Missing> {
        self.artifacts
            .boards
            .get(build)
            .cloned()
            .ok_or_else(|| Missing(format!("board {build}")))
    }

    /// A machine of that hardware with its board's image, and no host yet.
    ///
    /// # Errors
    /// When it was not built.
    pub fn hardware(&self, hardware: Hardware) -> Result<Machine, Missing> {
        let board = self.artifacts.machines.get(hardware.board()).cloned();
        let board = board.ok_or_else(|| Missing(format!("board {}", hardware.board())))?;
        Ok(Machine::leasehold_on(hardware, self.name, board)
            .qemu(&self.artifacts.qemu)
            .limit(Some(LIMIT)))
    }

    /// The flat image of a bare-metal program.
    ///
    /// # Errors
    /// When it was not built.
    pub fn guest(&self, program: &str) -> Result<PathBuf, Missing> {
        self.artifacts
            .guests
            .get(program)
            .cloned()
            .ok_or_else(|| Missing(format!("guest {program}")))
    }

    /// A Linux host by its version.
    ///
    /// # Errors
    /// When it was not built.
    pub fn linux_host(&self, version: &str) -> Result<LinuxHost, Missing> {
        self.artifacts
            .linux
            .get(version)
            .cloned()
            .ok_or_else(|| Missing(format!("Linux {version}")))
    }

    /// A machine without Leasehold.
    pub fn bare(&self) -> Machine {
        Machine::bare(self.name).qemu(&self.artifacts.qemu).limit(Some(LIMIT))
    }

    /// A machine with the board of that build, and no host yet.
    ///
    /// # Errors
    /// When it was not built.
    pub fn leasehold(&self, build: &str) -> Result<Machine, Missing> {
        Ok(Machine::leasehold(self.name, self.board(build)?)
            .qemu(&self.artifacts.qemu)
            .limit(Some(LIMIT)))
    }

    /// Leasehold as released, the host of the tests with that scenario of its own, and the tests' guest.
    ///
    /// # Errors
    /// When something was not built.
    pub fn testhost(&self, scenario: &str) -> Result<Machine, Missing> {
        self.testhost_on("release", scenario)
    }

    /// The same on another build of Leasehold.
    ///
    /// # Errors
    /// When something was not built.
    pub fn testhost_on(&self, build: &str, scenario: &str) -> Result<Machine, Missing> {
        let machine = self
            .leasehold(build)?
            .kernel(self.guest("testhost")?)
            .initrd(self.guest("testguest")?);
        Ok(bare_metal(machine)
            .bootargs(format!("scenario={scenario}"))
            .smp(4)
            .edu())
    }

    /// A build of Leasehold, the bare-metal host that does the main job, and its guest.
    ///
    /// # Errors
    /// When something was not built.
    pub fn demo_on(&self, build: &str) -> Result<Machine, Missing> {
        let machine = self.leasehold(build)?.kernel(self.guest("demo")?);
        Ok(bare_metal(machine).initrd(self.guest("guest")?).smp(4).edu())
    }

    /// Leasehold as released, and a Linux host that runs `leasectl` with these words, and switches off.
    ///
    /// # Errors
    /// When something was not built.
    pub fn linux(&self, version: &str, leasectl: &[&str]) -> Result<Machine, Missing> {
        let host = self.linux_host(version)?;
        let machine = self.leasehold("release")?.kernel(host.kernel).initrd(host.initrd);
        Ok(machine.bootargs(linux_bootargs(leasectl)).smp(4).edu())
    }
}

/// The policy for bare-metal hosts, which have to see an abort of each access: the board's is for Linux.
pub const BARE_METAL_POLICY: &str = "bring-up";

/// The machine with the policy for a bare-metal host. A later `leasehold.fault=` counts in its place.
fn bare_metal(machine: Machine) -> Machine {
    machine.el2_arg(format!("leasehold.fault={BARE_METAL_POLICY}"))
}

/// The command line of every Linux host: its console, and an end of QEMU when it panics.
pub const LINUX_BOOTARGS: &str = "console=ttyAMA0 panic=-1 quiet";

/// The command line of a Linux host that runs `leasectl` with these words.
///
/// The kernel hands what it does not know itself to `/init`, in its environment.
pub fn linux_bootargs(leasectl: &[&str]) -> String {
    format!("{LINUX_BOOTARGS} leasectl={}", leasectl.join(","))
}

/// Something that the scenario needs was not built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} was not built")]
pub struct Missing(String);

/// Runs a machine whose host reports steps, and looks at how it ended.
///
/// # Errors
/// When it did not start, or did not come to a good end with all these steps.
pub fn steps(machine: &Machine, expected: &[&str]) -> Result<Outcome, crate::Error> {
    machine.start()?.finish_steps(LIMIT, expected)
}
