//! A SoC's blocks.

use super::block::{Block, Interrupt, Source};
use crate::list::List;
use leasehold_drivers::smmu::v2::{Access, Instance, Streams};
use leasehold_drivers::{gpio, llcc, rpmh};
use leasehold_hal::SmcPolicy;
use leasehold_memory_map::{Kept, PhysRange};

/// A system on a chip.
#[derive(Debug)]
pub struct SocDescription {
    /// The name on the chip.
    pub name: &'static str,
    /// Names in the `compatible` of a tree's root, any of which says that it is for this SoC.
    pub compatible: &'static [&'static str],
    /// Its CPUs.
    pub cpus: Cpus,
    /// How many bits of address reach every device and all RAM that a board can have.
    pub ipa_bits: u8,
    /// Where RAM can be. A board's tree may have less, never more.
    pub ram: &'static [PhysRange],
    /// Its interrupt controller.
    pub gic: Gic,
    /// The CPUs' timers.
    pub timer: Timer,
    /// The timer in memory.
    pub qtimer: QTimer,
    /// What stands between devices and memory, in the order in which units are attached.
    pub smmus: &'static [SmmuUnit],
    /// UARTs by which somebody debugs.
    pub uarts: &'static [Uart],
    /// Wrappers of serial engines.
    pub wrappers: &'static [Wrapper],
    /// Serial engines that boards bring out.
    pub serials: &'static [Serial],
    /// Its pins.
    pub tlmm: Tlmm,
    /// The application CPUs' watchdog.
    pub watchdog: Option<Watchdog>,
    /// The last-level cache.
    pub llcc: Option<Llcc>,
    /// What wakes the SoC by interrupts while the GIC has no power.
    pub pdc: Option<Pdc>,
    /// By which the application CPUs ask for power.
    pub rsc: Option<Rsc>,
    /// What can be asked for.
    pub cmd_db: Option<CmdDb>,
    /// A store of 0 here cuts the power. The register itself, in the first range.
    pub ps_hold: Option<Block>,
    /// The firmware behind SMC.
    pub scm: Scm,
    /// Where devices are that the host drives: sorted whole pages, apart. The host sees all of it but what is hidden,
    /// withheld or trapped.
    pub windows: &'static [PhysRange],
    /// Bus masters that EL2 keeps from the host, since no unit contains them, with all that starts them.
    pub withheld: &'static [Withheld],
    /// Bus masters that the host has, and that no unit contains. Those behind a [`SmmuUnit`] that is not EL2's are
    /// counted with it.
    pub uncontained: &'static [Master],
}

/// CPUs.
#[derive(Debug)]
pub struct Cpus {
    /// What they are, for people.
    pub cores: &'static str,
    /// The affinity fields of each one's MPIDR, as `reg` of the nodes in `/cpus` has them, in the tree's order.
    pub affinities: &'static [u64],
    /// CNTVOFF_EL2 does not work: EL2 leaves it at 0 (Oryon; Linux `cpu_errata.c`, "Broken CNTVOFF_EL2").
    pub broken_cntvoff: bool,
}

/// An interrupt controller.
#[derive(Debug)]
pub enum Gic {
    /// GICv2.
    V2 {
        /// The controller, its frames in the tree's order.
        block: Block,
        /// Which entries of `reg` are GICD, GICC, GICH and GICV.
        order: [usize; 4],
        /// The maintenance interrupt.
        maintenance: Interrupt,
    },
    /// GICv3 or GICv4.
    V3 {
        /// The controller: distributor, then the redistributors.
        block: Block,
        /// How far redistributors are apart, in bytes: 128 KiB, or 256 KiB for the layout of GICv4. The tree says so by
        /// `redistributor-stride`, if it is not 128 KiB.
        stride: u64,
        /// ITSs, enabled in the tree or not.
        its: &'static [Block],
        /// The maintenance interrupt.
        maintenance: Interrupt,
    },
}

/// The PPIs of the CPUs' timers, as `interrupts` of the node has them in this order.
#[derive(Debug)]
pub struct Timer {
    /// Secure EL1 physical, EL1 physical, EL1 virtual, EL2 physical; of no registers.
    pub block: Block,
}

impl Timer {
    /// INTIDs of EL1's physical, EL1's virtual and EL2's physical timer.
    #[must_use]
    pub const fn nonsecure(&self) -> [u32; 3] {
        let interrupts = self.block.interrupts;
        [interrupts[1].intid, interrupts[2].intid, interrupts[3].intid]
    }
}

/// The timer in memory, and its frame 0.
#[derive(Debug)]
pub struct QTimer {
    /// The control frame.
    pub block: Block,
    /// CNTBase and CNTEL0Base of frame 0, which the kernel uses.
    pub frame: Block,
}

/// A unit that stands between devices and memory, and who is behind it.
#[derive(Debug)]
pub struct SmmuUnit {
    /// Its name, for people.
    pub name: &'static str,
    /// The unit; the first entry of `reg` has all of its registers, where they are EL2's.
    pub block: Block,
    /// How it is driven.
    pub kind: SmmuUnitKind,
    /// Whose streams arrive.
    pub masters: &'static [Master],
}

impl SmmuUnit {
    /// Whether EL2 has it contain who is behind it.
    #[must_use]
    pub const fn contains(&self) -> bool {
        match &self.kind {
            SmmuUnitKind::V2(instance) => matches!(instance.access, Access::Full),
            SmmuUnitKind::V3 => true,
        }
    }

    /// All of its registers that are EL2's, or nobody's.
    #[must_use]
    pub const fn registers(&self) -> PhysRange {
        match &self.kind {
            SmmuUnitKind::V2(instance) => instance.registers,
            SmmuUnitKind::V3 => self.block.first(),
        }
    }

    /// Whether the host has it: its node, and the registers that Secure code has left to it.
    #[must_use]
    pub const fn is_hosts(&self) -> bool {
        matches!(self.access(), Access::SecureGlobal)
    }

    /// What EL2 may do with it.
    #[must_use]
    pub const fn access(&self) -> Access {
        match &self.kind {
            SmmuUnitKind::V2(instance) => instance.access,
            SmmuUnitKind::V3 => Access::Full,
        }
    }
}

/// How a unit is driven.
#[derive(Debug)]
pub enum SmmuUnitKind {
    /// SMMUv2, in particular the MMU-500.
    V2(Instance),
    /// SMMUv3: all streams are on the host's tables.
    V3,
}

/// A bus master.
#[derive(Clone, Copy, Debug)]
pub struct Master {
    /// Its name, for people.
    pub name: &'static str,
    /// Where its streams can be compared: `iommus` of this node and of the nodes in it, and the streams of its `iommu-map`.
    pub source: Source,
    /// The streams by which it arrives at the unit; none where no unit is in its way.
    pub streams: &'static [Streams],
}

/// A bus master that EL2 keeps from the host.
#[derive(Clone, Copy, Debug)]
pub struct Withheld {
    /// Its name, for people.
    pub name: &'static str,
    /// Registers that no VM reaches: those by which it is told what to do, or gets power.
    pub registers: &'static [PhysRange],
    /// The nodes that the host's tree does not have.
    pub nodes: &'static [Kept<'static>],
}

/// How a UART is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UartKind {
    /// A GENI serial engine.
    Geni {
        /// The registers of the wrapper that it is part of, where its version is.
        wrapper: PhysRange,
    },
    /// UARTDM v1.4.
    Uartdm,
}

/// A UART by which somebody debugs.
#[derive(Debug)]
pub struct Uart {
    /// The port.
    pub block: Block,
    /// How it is driven.
    pub kind: UartKind,
    /// Who sees to its clock: the assumption on which its speed stands.
    pub clocking: leasehold_drivers::serial::Clocking,
}

/// A wrapper of GENI serial engines.
#[derive(Debug)]
pub struct Wrapper {
    /// It, with the registers that all of its engines share.
    pub block: Block,
}

/// How a serial engine is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialKind {
    /// A GENI engine that firmware has made an I2C controller.
    GeniI2c,
    /// A GENI engine that firmware has made an SPI controller.
    GeniSpi,
    /// A BLSP's QUP as an I2C controller.
    QupI2c,
}

/// A serial engine that a board brings out.
#[derive(Debug)]
pub struct Serial {
    /// The engine.
    pub block: Block,
    /// How it is driven.
    pub kind: SerialKind,
}

/// The pins. The lines that secure firmware keeps are the board's.
#[derive(Debug)]
pub struct Tlmm {
    /// The block and its summary interrupt.
    pub block: Block,
    /// Its driver's configuration, with no pin reserved.
    pub config: gpio::tlmm::Config,
    /// Lines that `gpio-ranges` counts: the pins, and those that are for one device only.
    pub lines: u16,
}

/// The application CPUs' watchdog.
#[derive(Debug)]
pub struct Watchdog {
    /// It, and its bark.
    pub block: Block,
    /// Its clock in Hz.
    pub clock_hz: core::num::NonZeroU32,
    /// What EL2 does when it takes over.
    pub handover: WatchdogHandover,
}

/// What EL2 does with a watchdog that a loader may have left running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchdogHandover {
    /// It looks, and pets it once where it runs. Linux drives it on boards that people have, in EL1 or, by the way that this
    /// project's image takes, in EL2: its node is enabled in Linux's trees for that, and nobody keeps its registers.
    Petted,
    /// It does not touch it, whether it runs or not, since an access to registers that somebody keeps may hang the board.
    /// Why they may be kept.
    Untouched(&'static str),
}

/// The last-level cache. The block's ranges are its banks, then the broadcast registers.
#[derive(Debug)]
pub struct Llcc {
    /// It, and the interrupt by which it tells of errors.
    pub block: Block,
    /// Its driver's configuration.
    pub config: llcc::Config,
}

/// What wakes the SoC.
#[derive(Debug)]
pub struct Pdc {
    /// It.
    pub block: Block,
    /// Pins and the SPIs that they become: first pin, first SPI counted from 0, how many (`qcom,pdc-ranges`).
    pub ranges: &'static [(u32, u32, u32)],
}

/// By which the application CPUs ask for power.
#[derive(Debug)]
pub struct Rsc {
    /// Its DRVs.
    pub block: Block,
    /// The application CPUs' DRV: which it is, and where its sets are.
    pub config: rpmh::rsc::Config,
}

/// The command database, in memory that AOP has filled.
#[derive(Debug)]
pub struct CmdDb {
    /// Where it is; the node is one of `/reserved-memory`.
    pub block: Block,
}

/// The firmware behind SMC.
#[derive(Debug)]
pub struct Scm {
    /// Its node.
    pub block: Block,
    /// The first name in the node's `compatible`.
    pub compatible: &'static str,
    /// What a host may call.
    pub policy: SmcPolicy,
}

impl Gic {
    /// GICD, GICC, GICH and GICV of a GICv2.
    #[must_use]
    pub const fn frames_v2(&self) -> Option<[PhysRange; 4]> {
        match self {
            Self::V2 { block, order, .. } => Some([
                block.reg[order[0]],
                block.reg[order[1]],
                block.reg[order[2]],
                block.reg[order[3]],
            ]),
            Self::V3 { .. } => None,
        }
    }

    /// The block.
    #[must_use]
    pub const fn block(&self) -> &Block {
        match self {
            Self::V2 { block, .. } | Self::V3 { block, .. } => block,
        }
    }

    /// The maintenance interrupt.
    #[must_use]
    pub const fn maintenance(&self) -> Interrupt {
        match self {
            Self::V2 { maintenance, .. } | Self::V3 { maintenance, .. } => *maintenance,
        }
    }
}

impl SocDescription {
    /// All that can be compared node by node: registers and interrupts.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        let its: &[Block] = match &self.gic {
            Gic::V2 { .. } => &[],
            Gic::V3 { its, .. } => its,
        };
        core::iter::once(self.gic.block())
            .chain(its)
            .chain([&self.timer.block, &self.qtimer.block, &self.qtimer.frame])
            .chain(self.smmus.iter().map(|unit| &unit.block))
            .chain(self.uarts.iter().map(|uart| &uart.block))
            .chain(self.wrappers.iter().map(|wrapper| &wrapper.block))
            .chain(self.serials.iter().map(|serial| &serial.block))
            .chain([&self.tlmm.block])
            .chain(self.watchdog.iter().map(|watchdog| &watchdog.block))
            .chain(self.llcc.iter().map(|llcc| &llcc.block))
            .chain(self.pdc.iter().map(|pdc| &pdc.block))
            .chain(self.rsc.iter().map(|rsc| &rsc.block))
            .chain(self.cmd_db.iter().map(|cmd_db| &cmd_db.block))
            .chain(self.ps_hold.iter())
            .chain([&self.scm.block])
    }

    /// The watchdog, where EL2 may touch it.
    #[must_use]
    pub const fn petted_watchdog(&self) -> Option<&Watchdog> {
        match &self.watchdog {
            Some(watchdog) if matches!(watchdog.handover, WatchdogHandover::Petted) => Some(watchdog),
            _ => None,
        }
    }

    /// The bus masters that the host has and that no unit contains: those without a unit, and those behind one that is not
    /// EL2's, unless they are withheld.
    pub fn uncontained(&self) -> impl Iterator<Item = &Master> {
        let not_ours = self.smmus.iter().filter(|unit| !unit.contains());
        let behind = not_ours.flat_map(|unit| unit.masters);
        behind
            .filter(|master| !self.withholds(master.name))
            .chain(self.uncontained)
    }

    /// The names of those masters.
    #[must_use]
    pub const fn uncontained_names(&self) -> List<&'static str, 32> {
        let mut names = List::new("");
        let mut n = 0;
        while n < self.smmus.len() {
            let unit = &self.smmus[n];
            let mut m = 0;
            while !unit.contains() && m < unit.masters.len() {
                if !self.withholds(unit.masters[m].name) {
                    names = names.with(unit.masters[m].name);
                }
                m += 1;
            }
            n += 1;
        }
        let mut m = 0;
        while m < self.uncontained.len() {
            names = names.with(self.uncontained[m].name);
            m += 1;
        }
        names
    }

    /// Whether EL2 keeps the master `name` from the host.
    #[must_use]
    pub const fn withholds(&self, name: &str) -> bool {
        let mut n = 0;
        while n < self.withheld.len() {
            if same(self.withheld[n].name, name) {
                return true;
            }
            n += 1;
        }
        false
    }
}

/// Whether two names are one, for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut n = 0;
    while n < a.len() && n < b.len() && a[n] == b[n] {
        n += 1;
    }
    n == a.len() && n == b.len()
}

/// How many [`Streams`] `masters` have, without those that one before has already.
#[must_use]
pub const fn count_streams(masters: &[Master]) -> usize {
    let mut count = 0;
    let mut m = 0;
    while m < masters.len() {
        let mut s = 0;
        while s < masters[m].streams.len() {
            if !is_covered(masters, m, s) {
                count += 1;
            }
            s += 1;
        }
        m += 1;
    }
    count
}

/// The streams of all `masters`, each once: what the unit's driver is to let past. `N` is [`count_streams`] of them.
#[must_use]
pub const fn streams<const N: usize>(masters: &[Master]) -> [Streams; N] {
    let mut all = [Streams::new(0, 0); N];
    let mut count = 0;
    let mut m = 0;
    while m < masters.len() {
        let mut s = 0;
        while s < masters[m].streams.len() {
            if !is_covered(masters, m, s) {
                all[count] = masters[m].streams[s];
                count += 1;
            }
            s += 1;
        }
        m += 1;
    }
    all
}

/// Whether stream number `stream` of `masters[master]` is one of those before.
const fn is_covered(masters: &[Master], master: usize, stream: usize) -> bool {
    let this = masters[master].streams[stream];
    let mut m = 0;
    while m <= master {
        let mut s = 0;
        while s < masters[m].streams.len() && (m < master || s < stream) {
            if masters[m].streams[s].covers(this) {
                return true;
            }
            s += 1;
        }
        m += 1;
    }
    false
}
