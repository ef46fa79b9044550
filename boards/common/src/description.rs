//! A board as data.

use core::ops::Range;
use leasehold_hyp_core::fault::Policy;
use leasehold_memory_map::PhysAddr;
use leasehold_soc::description::{Reserved, SocDescription, Uart};

/// Why a board has [`Policy::DEFAULT`](leasehold_hyp_core::fault::Policy::DEFAULT).
pub const STOCK_LINUX: &str = "for a stock Linux: it lives through every access, and the offender alone is told";

/// What a board's support stands on. Nobody must take one for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// A machine of QEMU's, which boots in CI.
    RunsInCi,
    /// Never run on silicon by this project. A public way into EL2 is documented; tree and models agree.
    DocumentedRoute,
    /// Never run on silicon by this project, and no way into EL2 is known to work. Tree and models agree.
    TreeOnly,
}

impl Tier {
    /// The tier in words, as every list shows it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::RunsInCi => "runs in CI",
            Self::DocumentedRoute => "documented EL2 route, checked against its tree and models",
            Self::TreeOnly => "tree and models only",
        }
    }
}

/// A board: its author's decisions, and what is known of it.
#[derive(Debug)]
pub struct Description {
    /// The name of its folder, as `cargo xtask build --board` knows it.
    pub name: &'static str,
    /// What is printed on it.
    pub title: &'static str,
    /// What its support stands on.
    pub tier: Tier,
    /// What it is made of.
    pub machine: Machine,
    /// Where the image is linked, and the loader must put it: memory that nobody has reserved, below 4 GiB, as defmt's
    /// symbols must be within reach of `adrp`.
    pub load_address: PhysAddr,
    /// Its device tree, if there is one that can be had.
    pub tree: Option<Tree>,
    /// Ranges of memory that its tree reserves, and that stay out of EL2's hands.
    pub reserved: &'static [Reserved],
    /// Pins that secure firmware keeps (`gpio-reserved-ranges`).
    pub reserved_pins: &'static [Range<u16>],
    /// How it gets to EL2.
    pub entry: El2Entry,
    /// Who answers SMC, and so which of the host's calls are vetted.
    pub firmware: Firmware,
    /// What is done when the host touches what it has lent.
    pub policy: Policy,
    /// Why that.
    pub policy_reason: &'static str,
    /// Whether boot arguments may change that, the log's level, and whether uncontained masters are accepted.
    pub overrides: bool,
    /// Whether memory can be lent although some masters can reach it.
    pub accept_uncontained: bool,
    /// What has been verified, and how. On silicon: nothing, unless it says so.
    pub verified: &'static [&'static str],
}

impl Description {
    /// The address at which the image is linked, as a number.
    #[must_use]
    pub const fn load_address(&self) -> u64 {
        self.load_address.as_u64()
    }

    /// The SoC's description, where it is one of Qualcomm's.
    #[must_use]
    pub const fn soc(&self) -> Option<&'static SocDescription> {
        match &self.machine {
            Machine::Qualcomm { soc, .. } => Some(soc),
            Machine::Other(_) => None,
        }
    }

    /// The UART on which EL2 logs, where the SoC is one of Qualcomm's.
    #[must_use]
    pub const fn log_uart(&self) -> Option<&'static Uart> {
        match &self.machine {
            Machine::Qualcomm { soc, log } => Some(&soc.uarts[*log]),
            Machine::Other(_) => None,
        }
    }
}

/// What a board is made of.
#[derive(Debug)]
pub enum Machine {
    /// A SoC of Qualcomm's.
    Qualcomm {
        /// Its description.
        soc: &'static SocDescription,
        /// On which of its `uarts` EL2 logs. The host does not get that one.
        log: usize,
    },
    /// Another, whose `Soc` is code: what people want to know of it.
    Other(Facts),
}

/// What people want to know of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// The SoC, or the machine's name.
    pub soc: &'static str,
    /// How many CPUs it has, of which kind.
    pub cpus: &'static str,
    /// Its interrupt controller.
    pub gic: &'static str,
    /// Its SMMU, or "none".
    pub smmu: &'static str,
    /// Where EL2 logs.
    pub console: &'static str,
    /// Bus masters that the host has and no SMMU contains.
    pub uncontained: &'static [&'static str],
}

/// A device tree.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Its file in Debian's kernel packages, below `usr/lib/linux-image-*`.
    pub file: &'static str,
    /// The first name in its root's `compatible`.
    pub compatible: &'static str,
}

/// How a board gets to EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum El2Entry {
    /// The loader enters the image there. The text says which loader.
    Loader(&'static str),
    /// The image is entered in EL1 under Gunyah, and asks it to leave by its SMC; or in EL2, where it has left before.
    GunyahExit(&'static str),
    /// No way is known.
    Unknown(&'static str),
}

impl El2Entry {
    /// The way, for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Loader(words) | Self::GunyahExit(words) | Self::Unknown(words) => words,
        }
    }
}

/// Who answers SMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// PSCI alone: what else the host calls is refused.
    Psci,
    /// Qualcomm's secure monitor and TrustZone, or TF-A in their place: calls that would move or expose lent memory are
    /// vetted.
    Qualcomm,
}
