//! The parts of a board that EL2 drives, as models, and the bus that leads to them.

use leasehold_boards::Description;
use leasehold_drivers::interrupt::{gicv2, gicv3};
use leasehold_drivers::mmio::{Io, Width};
use leasehold_drivers::serial::{geni, pl011, uartdm};
use leasehold_drivers::smmu::v2::Streams;
use leasehold_drivers::smmu::v2::model as v2;
use leasehold_drivers::smmu::v3::MEMORY_BYTES;
use leasehold_drivers::smmu::v3::model::{self as v3, SimMemory, Window};
use leasehold_drivers::watchdog::kpss;
use leasehold_memory_map::{Address, GicVersion, MachineTree, PhysAddr, PhysRange};
use leasehold_soc::description::{self, Gic, SmmuUnit, SmmuUnitKind, SocDescription, UartKind};
use leasehold_soc::qemu_virt;
use leasehold_soc::qualcomm::Bus;
use std::sync::Arc;

/// What stands for a block's registers, or for memory that a block shares.
pub enum ModelIo {
    /// A frame of a GICv2.
    GicV2(gicv2::model::Frame),
    /// Frames of a GICv3.
    GicV3(gicv3::model::Frames),
    /// An SMMUv2.
    SmmuV2(v2::Model),
    /// An SMMUv3.
    SmmuV3(v3::Model),
    /// A port.
    Console(ConsoleModel),
    /// The registers of a GENI wrapper, of which one says its version.
    Wrapper,
    /// The application CPUs' watchdog.
    Watchdog(kpss::model::Model),
    /// Memory.
    Memory(Window),
}

/// QUP_HW_VER of every wrapper: 2.5, from which version on a UART samples a bit 16 times.
const QUP_HW_VER: (usize, u32) = (4, 2 << 28 | 5 << 16);

macro_rules! each {
    ($io:expr, $inner:ident => $do:expr, $wrapper:expr) => {
        match $io {
            ModelIo::GicV2($inner) => $do,
            ModelIo::GicV3($inner) => $do,
            ModelIo::SmmuV2($inner) => $do,
            ModelIo::SmmuV3($inner) => $do,
            ModelIo::Console(ConsoleModel::Pl011($inner)) => $do,
            ModelIo::Console(ConsoleModel::Geni($inner)) => $do,
            ModelIo::Console(ConsoleModel::Uartdm($inner)) => $do,
            ModelIo::Watchdog($inner) => $do,
            ModelIo::Memory($inner) => $do,
            ModelIo::Wrapper => $wrapper,
        }
    };
}

impl Io for ModelIo {
    fn load<T: Width>(&self, offset: usize) -> T {
        each!(self, io => io.load(offset), {
            assert_eq!((offset, T::BYTES), (QUP_HW_VER.0, 4), "reads what a wrapper's model has not");
            T::truncate(u64::from(QUP_HW_VER.1))
        })
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        each!(self, io => io.store(offset, value), panic!("writes to a wrapper at {offset:#x}"));
    }

    fn publish(&self) {
        each!(self, io => io.publish(), ());
    }

    fn observe(&self) {
        each!(self, io => io.observe(), ());
    }
}

/// EL2's log channel, and who listens to it.
#[derive(Clone)]
pub enum ConsoleModel {
    /// A PL011.
    Pl011(pl011::model::Model),
    /// A GENI serial engine.
    Geni(geni::model::Model),
    /// UARTDM.
    Uartdm(uartdm::model::Model),
}

impl ConsoleModel {
    /// All that has gone out.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        match self {
            Self::Pl011(model) => {
                model.transmit(usize::MAX);
                model.sent()
            }
            Self::Geni(model) => {
                model.run(1 << 16);
                model.sent()
            }
            Self::Uartdm(model) => {
                model.transmit(usize::MAX);
                model.sent()
            }
        }
    }
}

/// A block that can be asked for.
#[derive(Clone)]
enum Block {
    GicV2(gicv2::model::Model, bool),
    GicV3(gicv3::model::Model, bool),
    SmmuV2(v2::Model),
    SmmuV3(v3::Model),
    Console(ConsoleModel),
    Wrapper,
    Watchdog(kpss::model::Model),
}

/// What an SMMU is.
#[derive(Clone)]
pub enum UnitModel {
    /// An SMMUv2, which tells streams apart.
    V2(v2::Model),
    /// An SMMUv3, whose streams are all treated alike.
    V3(v3::Model),
}

/// A bus master, with the streams by which it arrives.
#[derive(Clone, Debug)]
pub struct Master {
    /// Its name.
    pub name: String,
    /// Its streams.
    pub streams: Vec<Streams>,
}

/// An SMMU and who is behind it.
#[derive(Clone)]
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// Its registers, where it has some.
    pub registers: Option<PhysRange>,
    /// Whose streams arrive.
    pub masters: Vec<Master>,
    /// The unit, where it is EL2's.
    pub model: Option<UnitModel>,
}

impl UnitModel {
    /// A device reads.
    #[must_use]
    pub fn reads(&self, stream: u32, address: u64) -> Option<u64> {
        match self {
            Self::V2(model) => model.dma_read(stream as u16, address),
            Self::V3(model) => model.dma_read(stream, address),
        }
    }

    /// A device writes.
    #[must_use]
    pub fn writes(&self, stream: u32, address: u64, value: u64) -> bool {
        match self {
            Self::V2(model) => model.dma_write(stream as u16, address, value),
            Self::V3(model) => model.dma_write(stream, address, value),
        }
    }
}

/// The models of one board.
pub struct Machine {
    /// Memory, which CPU, SMMUs and loader share.
    pub memory: SimMemory,
    /// The SMMUs.
    pub units: Vec<Unit>,
    /// EL2's log channel.
    pub console: ConsoleModel,
    /// The watchdog, where EL2 may touch it: stopped, unless a test lets it run.
    pub watchdog: Option<kpss::model::Model>,
    blocks: Vec<(PhysRange, Block)>,
    smmu_memory: PhysRange,
}

/// How a machine's parts are to misbehave, for refusals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// They do not.
    #[default]
    None,
    /// The SMMU does not take commands.
    SmmuHangs,
    /// The redistributors do not wake up.
    GicSleeps,
}

impl Machine {
    /// QEMU's `virt` machine that `tree` is of.
    ///
    /// # Panics
    /// When it has no GIC.
    #[must_use]
    pub fn qemu_virt(tree: &MachineTree<'_>, memory: &SimMemory, image: PhysRange, trouble: Trouble) -> Self {
        let gic = tree.gic().expect("a GIC");
        let affinities: Vec<_> = tree.cpus().iter().map(|cpu| packed(cpu.affinity)).collect();
        let mut blocks = gic_blocks(
            gic.version,
            [gic.ranges[0], gic.ranges[1]],
            &affinities,
            0x2_0000,
            trouble,
        );
        let mut units = Vec::new();
        for registers in tree.smmus() {
            let model = smmu_v3(memory, image, trouble);
            blocks.push((*registers, Block::SmmuV3(model.clone())));
            units.push(Unit {
                name: "smmu",
                registers: Some(*registers),
                masters: vec![Master {
                    name: "PCI".into(),
                    streams: vec![Streams::ALL],
                }],
                model: Some(UnitModel::V3(model)),
            });
        }
        let console = pl011::model::Model::new();
        console.transmit_on_poll(true);
        let console = ConsoleModel::Pl011(console);
        // What is EL2's and nothing of the above is its UART.
        let known: Vec<_> = blocks.iter().map(|(range, _)| *range).collect();
        let uart = qemu_virt::REGISTERS
            .iter()
            .find(|range| range.len() == 0x1000 && !known.contains(range))
            .expect("EL2 has a UART");
        blocks.push((*uart, Block::Console(console.clone())));
        Self {
            memory: memory.clone(),
            units,
            console,
            watchdog: None,
            blocks,
            smmu_memory: smmu_memory(image),
        }
    }

    /// A board with a SoC of Qualcomm's, as firmware leaves it, with masters that go on reading `picture`.
    ///
    /// # Panics
    /// When its description has no SoC.
    #[must_use]
    pub fn qualcomm(board: &Description, memory: &SimMemory, image: PhysRange, picture: PhysRange) -> Self {
        let (soc, uart) = board.soc().zip(board.log_uart()).expect("a SoC of Qualcomm's");
        let mut blocks = described_gic(soc);
        let units: Vec<_> = soc
            .smmus
            .iter()
            .map(|unit| described_unit(unit, memory, image, picture))
            .collect();
        for unit in &units {
            let block = match &unit.model {
                Some(UnitModel::V2(model)) => Block::SmmuV2(model.clone()),
                Some(UnitModel::V3(model)) => Block::SmmuV3(model.clone()),
                None => continue,
            };
            blocks.extend(unit.registers.map(|registers| (registers, block)));
        }
        let console = match uart.kind {
            UartKind::Geni { wrapper } => {
                let model = geni::model::Model::new();
                model.run_on_poll(true);
                blocks.push((wrapper, Block::Wrapper));
                ConsoleModel::Geni(model)
            }
            UartKind::Uartdm => {
                let model = uartdm::model::Model::new();
                model.transmit_on_poll(true);
                ConsoleModel::Uartdm(model)
            }
        };
        blocks.push((uart.block.first(), Block::Console(console.clone())));
        let watchdog = soc.petted_watchdog().map(|watchdog| {
            let model = kpss::model::Model::new();
            blocks.push((watchdog.block.first(), Block::Watchdog(model.clone())));
            model
        });
        Self {
            memory: memory.clone(),
            units,
            console,
            watchdog,
            blocks,
            smmu_memory: smmu_memory(image),
        }
    }
}

/// An affinity as GICR_TYPER has it, a byte for each level.
fn packed(affinity: u64) -> u32 {
    (affinity >> 8) as u32 & 0xff00_0000 | affinity as u32 & 0x00ff_ffff
}

/// The last part of EL2's image, of which EL2's tables and devices know nothing.
fn smmu_memory(image: PhysRange) -> PhysRange {
    let start = image.end().get() - MEMORY_BYTES as u64;
    PhysRange::new(PhysAddr::new(start), MEMORY_BYTES as u64).expect("inside of the image")
}

fn smmu_v3(memory: &SimMemory, image: PhysRange, trouble: Trouble) -> v3::Model {
    let model = v3::Model::new(v3::Identity::QEMU, v3::Initial::Bypassing, memory, image.start().get());
    if trouble == Trouble::SmmuHangs {
        model.hang(v3::Hang::Commands);
    }
    model
}

fn gic_blocks(
    version: GicVersion,
    [distributor, second]: [PhysRange; 2],
    affinities: &[u32],
    stride: u64,
    trouble: Trouble,
) -> Vec<(PhysRange, Block)> {
    match version {
        GicVersion::V2 => {
            let model = gicv2::model::Model::new(2);
            vec![
                (distributor, Block::GicV2(model.clone(), true)),
                (second, Block::GicV2(model, false)),
            ]
        }
        GicVersion::V3 => {
            let quirks = gicv3::model::Quirks {
                vlpis: stride > 0x2_0000,
                sleepless: trouble == Trouble::GicSleeps,
                ..gicv3::model::Quirks::default()
            };
            let model = gicv3::model::Model::new(affinities, quirks);
            vec![
                (distributor, Block::GicV3(model.clone(), true)),
                (second, Block::GicV3(model, false)),
            ]
        }
    }
}

fn described_gic(soc: &SocDescription) -> Vec<(PhysRange, Block)> {
    let affinities: Vec<_> = soc.cpus.affinities.iter().copied().map(packed).collect();
    let (version, frames, stride) = match &soc.gic {
        Gic::V2 { block, order, .. } => (GicVersion::V2, [block.reg[order[0]], block.reg[order[1]]], 0),
        Gic::V3 { block, stride, .. } => (GicVersion::V3, [block.reg[0], block.reg[1]], *stride),
    };
    gic_blocks(version, frames, &affinities, stride, Trouble::None)
}

/// SMR.VALID.
const VALID: u32 = 1 << 31;
/// S2CR.TYPE: the group is let past.
const BYPASS: u32 = 1 << 16 | 0xff;
/// CR0 of a unit that lets streams without a group past, as a loader might leave it.
const OPEN: u32 = 0x0020_1836;
/// ACR.CACHE_LOCK is clear, so that ACTLR can be written.
const ACR: u32 = 1 << 26;

/// Masters that firmware leaves running, by name, or by the end of it.
const RUNNING: [&str; 4] = ["display", "UFS", "SDHC 1", " firmware"];

/// A unit as firmware leaves it: the display's streams have a group that is let past, the others that are in use have none.
/// All of them read the picture, for want of more.
fn described_unit(unit: &SmmuUnit, memory: &SimMemory, image: PhysRange, picture: PhysRange) -> Unit {
    let registers = unit.block.reg.first().copied();
    let model = unit.contains().then(|| match &unit.kind {
        SmmuUnitKind::V2(_) => {
            let model = v2::Model::new(identity(unit.block.first()), v2::Quirks::default(), memory);
            model.firmware_sets(OPEN, ACR);
            let mut groups = 0;
            let running = |master: &&description::Master| RUNNING.iter().any(|name| master.name.ends_with(name));
            for master in unit.masters.iter().filter(running) {
                for streams in master.streams {
                    if master.name == "display" {
                        let smr = VALID | u32::from(streams.mask) << 16 | u32::from(streams.id);
                        model.firmware_maps(groups, smr, BYPASS);
                        groups += 1;
                    }
                    model.start_master(streams.id, picture.start().get(), picture.len() / 8);
                }
            }
            UnitModel::V2(model)
        }
        SmmuUnitKind::V3 => UnitModel::V3(smmu_v3(memory, image, Trouble::None)),
    });
    let master = |master: &description::Master| Master {
        name: master.name.into(),
        streams: master.streams.to_vec(),
    };
    Unit {
        name: unit.name,
        registers,
        masters: unit.masters.iter().map(master).collect(),
        model,
    }
}

/// An MMU-500 whose registers fill `registers`: half of it is the global space, the other has context banks.
fn identity(registers: PhysRange) -> v2::Identity {
    let pages = (registers.len() / 2 / 0x1000).next_power_of_two();
    let banks = pages.min(80) as u32;
    v2::Identity {
        id1: (pages.trailing_zeros() - 1) << 28 | banks,
        ..v2::Identity::QCS6490
    }
}

/// Ticks of the watchdog's clock that pass while EL2 brings up a block.
pub const BLOCK_TICKS: u32 = 1000;

/// The way to a machine's blocks.
#[derive(Clone)]
pub struct TwinBus(pub Arc<Machine>);

impl Bus for TwinBus {
    type Io = ModelIo;
    type Firmware = leasehold_hal::NoFirmware;

    fn firmware(&self) -> Option<Self::Firmware> {
        None
    }

    fn registers(&self, range: PhysRange) -> ModelIo {
        if let Some(watchdog) = &self.0.watchdog {
            watchdog.advance(BLOCK_TICKS);
        }
        let found = self.0.blocks.iter().find(|(block, _)| *block == range);
        let Some((_, block)) = found else {
            panic!("EL2 touches {range:?}, where the twin has nothing of its own")
        };
        match block.clone() {
            Block::GicV2(model, true) => ModelIo::GicV2(model.distributor()),
            Block::GicV2(model, false) => ModelIo::GicV2(model.cpu_interface()),
            Block::GicV3(model, true) => ModelIo::GicV3(model.distributor()),
            Block::GicV3(model, false) => ModelIo::GicV3(model.region().0),
            Block::SmmuV2(model) => ModelIo::SmmuV2(model),
            Block::SmmuV3(model) => ModelIo::SmmuV3(model),
            Block::Console(model) => ModelIo::Console(model),
            Block::Wrapper => ModelIo::Wrapper,
            Block::Watchdog(model) => ModelIo::Watchdog(model),
        }
    }

    fn smmu_memory(&self) -> Option<(ModelIo, PhysRange)> {
        let range = self.0.smmu_memory;
        Some((ModelIo::Memory(self.0.memory.window(range)), range))
    }
}
