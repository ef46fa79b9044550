//! Units together, on models, and what the host sees of each SoC.

use super::units::{AttachedUnits, Units};
use super::*;
use crate::description::{Block, Source};
use crate::description::{SmmuUnit, SmmuUnitKind, WatchdogHandover, reg};
use crate::family::{apps_smmu, gpu_smmu, stream};
use crate::{apq8016, qcs6490, sdm845, sm8250, sm8550, sm8650, x1e80100};
use leasehold_drivers::mmio::{Io, Width};
use leasehold_drivers::smmu::v2::model::{Identity as V2Identity, Model as V2, Quirks, SimMemory, Window};
use leasehold_drivers::smmu::v2::{Access, Streams, Walks};
use leasehold_drivers::smmu::v3::MEMORY_BYTES;
use leasehold_drivers::smmu::v3::model::{Identity as V3Identity, Initial, Model as V3};
use leasehold_drivers::watchdog::kpss::model::Model as Watchdog;
use leasehold_hal::{AttachedIommu, Iommu, IommuError, IommuEventKind, MemoryAttributes, Stage2Geometry, Vmid};
use leasehold_memory_map::{Ipa, PAGE_SIZE, PageRange, PhysAddr};
use std::vec::Vec;

/// Where the host's tables are: level 1 (two side by side), 2 and 3.
const TABLES: [u64; 3] = [0x9000_0000, 0x9001_0000, 0x9002_0000];
/// AF, Inner Shareable, read and write, Normal write-back.
const MEMORY: u64 = 1 << 10 | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2;
/// The page that is mapped, and one that never is.
const PAGE: u64 = 0x4000_0000;
const CANARY: u64 = 0x7000_0000;
/// Memory for an SMMUv3's queues.
const QUEUES: PhysRange = reg(0x8000_0000, MEMORY_BYTES as u64);

const UFS: u16 = 0x80;
const STREAMS: &[Streams] = &[stream(UFS)];

const FIRST: PhysRange = reg(0x1500_0000, 0x10_0000);
const SECOND: PhysRange = reg(0x1600_0000, 0x10_0000);
const PCIE: PhysRange = reg(0x1540_0000, 0x2_0000);
const GPU: PhysRange = reg(0x03da_0000, 0x2_0000);

const UNITS: &[SmmuUnit] = &[
    apps_smmu("/first", &[FIRST], Walks::Coherent, &[], STREAMS),
    gpu_smmu("/gpu", &[GPU], Walks::Coherent, &[]),
    apps_smmu("/second", &[SECOND], Walks::Coherent, &[], STREAMS),
    SmmuUnit {
        name: "pcie",
        block: Block::new("/pcie", &[PCIE], &[]),
        kind: SmmuUnitKind::V3,
        masters: &[],
    },
];

/// What is behind the bus: three units that are EL2's, and nothing where the GPU's is.
struct Bench {
    memory: SimMemory,
    units: [V2; 2],
    pcie: V3,
}

enum Place {
    V2(V2),
    V3(V3),
    Memory(Window),
}

macro_rules! place {
    ($self:expr, $io:ident => $do:expr) => {
        match $self {
            Place::V2($io) => $do,
            Place::V3($io) => $do,
            Place::Memory($io) => $do,
        }
    };
}

impl Io for Place {
    fn load<T: Width>(&self, offset: usize) -> T {
        place!(self, io => io.load(offset))
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        place!(self, io => io.store(offset, value));
    }

    fn publish(&self) {
        place!(self, io => io.publish());
    }

    fn observe(&self) {
        place!(self, io => io.observe());
    }
}

impl Bus for Bench {
    type Io = Place;
    type Firmware = leasehold_hal::NoFirmware;

    fn firmware(&self) -> Option<Self::Firmware> {
        None
    }

    fn registers(&self, range: PhysRange) -> Place {
        match range {
            FIRST => Place::V2(self.units[0].clone()),
            SECOND => Place::V2(self.units[1].clone()),
            PCIE => Place::V3(self.pcie.clone()),
            _ => panic!("{range:?} is not EL2's to touch"),
        }
    }

    fn smmu_memory(&self) -> Option<(Place, PhysRange)> {
        Some((Place::Memory(self.memory.window(QUEUES)), QUEUES))
    }
}

impl Bench {
    /// Units of these identities, all of which let everything past, as a loader that knows no SMMU leaves them.
    fn with(identities: [V2Identity; 2]) -> Self {
        let memory = SimMemory::new();
        let index = |shift: u64| PAGE >> shift & 0x1ff;
        memory.write(TABLES[0] + 8 * index(30), TABLES[1] | 0b11);
        memory.write(TABLES[1] + 8 * index(21), TABLES[2] | 0b11);
        memory.write(TABLES[2] + 8 * index(12), PAGE | MEMORY | 0b11);
        let units = identities.map(|identity| V2::new(identity, Quirks::default(), &memory));
        let pcie = V3::new(V3Identity::QEMU, Initial::Bypassing, &memory, CANARY);
        Self { memory, units, pcie }
    }

    fn new() -> Self {
        Self::with([V2Identity::QCS6490; 2])
    }

    fn unmap(&self) {
        self.memory.write(TABLES[2] + 8 * (PAGE >> 12 & 0x1ff), 0);
    }

    fn try_attach(&self) -> Result<AttachedUnits<Place>, IommuError> {
        let units = Units::find(self, UNITS).unwrap().unwrap();
        let geometry = Stage2Geometry::new(40, MemoryAttributes::Combine).unwrap();
        units.attach(PhysAddr::new(TABLES[0]), &geometry, Vmid::HOST)
    }

    fn attach(&self) -> AttachedUnits<Place> {
        self.try_attach().unwrap()
    }

    /// Which of the three let a master at `address`.
    fn reach(&self, address: u64) -> [bool; 3] {
        let [first, second] = [0, 1].map(|n| self.units[n].dma_read(UFS, address).is_some());
        [first, second, self.pcie.dma_read(8, address).is_some()]
    }
}

fn page() -> PageRange<Ipa> {
    PageRange::single(Ipa::new(PAGE)).unwrap()
}

#[test]
fn every_unit_is_on_the_host_s_tables_and_the_gpu_s_is_left_alone() {
    let bench = Bench::new();
    let units = bench.attach();
    assert_eq!(bench.reach(PAGE), [true; 3]);
    assert_eq!(bench.reach(CANARY), [false; 3]);
    assert_eq!(units.timeout(), None);
}

#[test]
fn the_least_of_the_units_says_how_tables_may_change() {
    let bench = Bench::new();
    let units = Units::find(&bench, UNITS).unwrap().unwrap();
    assert_eq!(units.bbm_level(), 0);
    let only_v3 = Units::find(&bench, &UNITS[3..]).unwrap().unwrap();
    assert_eq!(only_v3.bbm_level(), 2);
}

#[test]
fn one_unit_that_walks_past_caches_says_so_for_all() {
    let bench = Bench::new();
    assert!(Units::find(&bench, UNITS).unwrap().unwrap().walks_coherently());
    let cleaned = [
        apps_smmu("/first", &[FIRST], Walks::Coherent, &[], STREAMS),
        apps_smmu("/second", &[SECOND], Walks::Cleaned, &[], STREAMS),
    ];
    let units = Units::find(&bench, &cleaned).unwrap().unwrap();
    assert!(!units.walks_coherently());
}

#[test]
fn where_no_unit_is_el2_s_there_is_none() {
    assert!(Units::find(&Bench::new(), &UNITS[1..2]).unwrap().is_none());
    assert!(Units::find(&Bench::new(), apq8016::APQ8016.smmus).unwrap().is_none());
}

#[test]
fn a_sync_speaks_for_all() {
    for whole in [false, true] {
        let bench = Bench::new();
        let mut units = bench.attach();
        assert_eq!(bench.reach(PAGE), [true; 3]);
        bench.unmap();
        if whole {
            units.invalidate_all(Vmid::HOST).unwrap();
        } else {
            units.invalidate(Vmid::HOST, page()).unwrap();
        }
        assert_eq!(bench.reach(PAGE), [true; 3], "not before the sync");
        units.sync().unwrap();
        assert_eq!(bench.reach(PAGE), [false; 3]);
    }
}

#[test]
fn one_that_does_not_confirm_keeps_no_other_from_forgetting() {
    for late in [0, 1] {
        let bench = Bench::new();
        let mut units = bench.attach();
        assert_eq!(bench.reach(PAGE), [true; 3]);
        bench.unmap();
        bench.units[late].hang(true);
        units.invalidate(Vmid::HOST, page()).unwrap();
        assert_eq!(units.sync(), Err(IommuError::TimedOut));
        let mut expected = [false; 3];
        expected[late] = true;
        assert_eq!(bench.reach(PAGE), expected);
        assert!(units.timeout().is_some());
        // Asked again, as the core does, all are.
        bench.units[late].hang(false);
        let asked = (0..10).any(|_| units.invalidate_all(Vmid::HOST).is_ok());
        assert!(asked);
        units.sync().unwrap();
        assert_eq!(bench.reach(PAGE), [false; 3]);
    }
}

#[test]
fn a_unit_that_cannot_walk_the_tables_lets_nothing_past_and_the_others_are_contained() {
    for bad in [0, 1] {
        let mut identities = [V2Identity::QCS6490; 2];
        // IAS, OAS and UBS of 32 bits.
        identities[bad].id2 &= !0xfff;
        let bench = Bench::with(identities);
        assert!(matches!(bench.try_attach(), Err(IommuError::Unsupported(_))));
        let mut expected = [true; 3];
        expected[bad] = false;
        assert_eq!(bench.reach(PAGE), expected, "on the host's tables, or refused");
        assert_eq!(bench.reach(CANARY), [false; 3]);
    }
}

#[test]
fn no_unit_hides_another_s_events_and_they_come_to_an_end() {
    let bench = Bench::new();
    let mut units = bench.attach();
    // Whatever was recorded on the way.
    assert!((0..20).any(|_| units.next_event().is_none()));
    for _ in 0..3 {
        assert_eq!(bench.reach(CANARY), [false; 3]);
        let events: Vec<_> = core::iter::from_fn(|| units.next_event()).take(20).collect();
        let faults = events.iter().filter(|event| event.kind == IommuEventKind::Translation);
        assert_eq!(faults.count(), 3, "{events:?}");
        assert!(events.len() < 20);
    }
}

#[test]
fn a_device_that_faults_all_the_time_hides_no_other() {
    let bench = Bench::new();
    let mut units = bench.attach();
    assert!((0..20).any(|_| units.next_event().is_none()));
    assert_eq!(bench.pcie.dma_read(8, CANARY), None);
    let told = (0..20).any(|_| {
        assert_eq!(bench.units[0].dma_read(UFS, CANARY), None);
        units.next_event().is_some_and(|event| event.stream == Some(8))
    });
    assert!(told, "the PCIe device's turn never comes");
}

const SOCS: [&SocDescription; 7] = [
    &apq8016::APQ8016,
    &qcs6490::QCS6490,
    &sdm845::SDM845,
    &sm8250::SM8250,
    &sm8550::SM8550,
    &sm8650::SM8650,
    &x1e80100::X1E80100,
];

/// A bus that nobody asks.
struct Silent;

impl Bus for Silent {
    type Io = Place;
    type Firmware = leasehold_hal::NoFirmware;

    fn firmware(&self) -> Option<Self::Firmware> {
        None
    }

    fn registers(&self, range: PhysRange) -> Place {
        panic!("{range:?} is touched")
    }

    fn smmu_memory(&self) -> Option<(Place, PhysRange)> {
        None
    }
}

/// SoCs whose watchdog EL2 may touch.
const PETTED: [&SocDescription; 3] = [&sdm845::SDM845, &sm8250::SM8250, &x1e80100::X1E80100];

/// A bus that leads to a watchdog alone.
struct Guarded(Watchdog);

impl Bus for Guarded {
    type Io = Watchdog;
    type Firmware = leasehold_hal::NoFirmware;

    fn firmware(&self) -> Option<Self::Firmware> {
        None
    }

    fn registers(&self, range: PhysRange) -> Watchdog {
        let places = PETTED.map(|soc| soc.watchdog.as_ref().unwrap().block.first());
        assert!(places.contains(&range), "{range:?} is touched");
        self.0.clone()
    }

    fn smmu_memory(&self) -> Option<(Watchdog, PhysRange)> {
        None
    }
}

/// What of a watchdog's time is gone at hand-over, in ticks, and when it bites.
const GONE: u32 = 99;
const BITE: u32 = 100;

#[test]
fn a_watchdog_that_runs_gives_the_host_its_whole_time_and_is_not_stopped() {
    for description in PETTED {
        let watchdog = Watchdog::new();
        watchdog.left_running(BITE, BITE, GONE);
        let mut soc = Qualcomm::over(Guarded(watchdog.clone()), description, None).unwrap();
        assert_eq!(soc.calm_watchdogs(), Watchdogs::Petted);
        watchdog.advance(BITE - 1);
        assert_eq!(watchdog.bites(), 0, "{}", description.name);
        watchdog.advance(1);
        assert_eq!(watchdog.bites(), 1, "{}: stopped", description.name);
    }
}

#[test]
fn a_watchdog_that_does_not_run_stays_so() {
    let watchdog = Watchdog::new();
    let mut soc = Qualcomm::over(Guarded(watchdog.clone()), &sm8250::SM8250, None).unwrap();
    assert_eq!(soc.calm_watchdogs(), Watchdogs::Quiet);
    watchdog.advance(BITE);
    assert_eq!((watchdog.barks(), watchdog.bites()), (0, 0));
}

#[test]
fn a_watchdog_that_somebody_may_keep_is_not_touched() {
    let petted = SOCS.iter().filter(|soc| soc.petted_watchdog().is_some());
    assert!(petted.map(|soc| soc.name).eq(PETTED.map(|soc| soc.name)));
    for description in SOCS.iter().filter(|soc| soc.petted_watchdog().is_none()) {
        // The bus panics where it is asked.
        assert_eq!(soc(description).calm_watchdogs(), Watchdogs::Quiet);
    }
}

fn soc(description: &'static SocDescription) -> Qualcomm<Silent> {
    Qualcomm::over(Silent, description, Some(&description.uarts[0])).unwrap()
}

#[test]
fn windows_are_sorted_whole_pages_apart_from_what_is_hidden_and_within_reach() {
    for description in SOCS {
        let soc = soc(description);
        for pair in soc.device_windows().windows(2) {
            assert!(pair[0].end() <= pair[1].start(), "{}: {pair:?}", description.name);
        }
        for window in soc.device_windows() {
            assert!(window.start().is_aligned(PAGE_SIZE) && window.len() % PAGE_SIZE == 0);
            assert!(!soc.hidden().iter().any(|hidden| hidden.overlaps(window)), "{window:?}");
            assert!(window.end().get() <= 1 << description.ipa_bits);
            assert!(!description.ram.iter().any(|ram| ram.overlaps(window)), "{window:?}");
        }
        assert!(
            description
                .ram
                .iter()
                .all(|ram| ram.end().get() <= 1 << description.ipa_bits)
        );
    }
}

#[test]
fn what_contains_devices_and_what_nothing_contains_is_out_of_the_host_s_reach() {
    for description in SOCS {
        let soc = soc(description);
        let seen = |range: &PhysRange| soc.device_windows().iter().any(|window| window.overlaps(range));
        for unit in description.smmus {
            // The host's own driver has a use for the context banks of a unit that is Secure code's.
            let secure = unit.access() == Access::SecureGlobal;
            assert_eq!(seen(&unit.registers()), secure, "{}: {}", description.name, unit.name);
        }
        for withheld in description.withheld {
            assert!(
                !withheld.registers.iter().any(seen),
                "{}: {}",
                description.name,
                withheld.name
            );
        }
        assert!(!seen(&description.uarts[0].block.first()));
        if let Some([_, _, gich, gicv]) = description.gic.frames_v2() {
            assert!(!seen(&gich) && !seen(&gicv));
        }
    }
}

#[test]
fn of_each_redistributor_the_host_sees_the_second_frame_alone() {
    for description in SOCS {
        let GicDescription::V3 { block, stride, its, .. } = &description.gic else {
            continue;
        };
        let soc = soc(description);
        let seen: Vec<_> = soc
            .device_windows()
            .iter()
            .filter(|window| block.reg[1].overlaps(window))
            // The last one may have other devices behind it.
            .map(|window| PhysRange::between(window.start(), window.end().min(block.reg[1].end())).unwrap())
            .map(|window| (window.start().get(), window.len()))
            .collect();
        let base = block.reg[1].start().get();
        let frames =
            (0..description.cpus.affinities.len() as u64).map(|cpu| (base + cpu * stride + 0x1_0000, 0x1_0000));
        assert_eq!(seen, frames.collect::<Vec<_>>(), "{}", description.name);
        for its in *its {
            assert!(!soc.device_windows().iter().any(|window| window.overlaps(&its.first())));
        }
    }
}

#[test]
fn devices_that_the_host_drives_are_seen() {
    for description in SOCS {
        let soc = soc(description);
        let shown = description.blocks().filter(|block| {
            let path = block.source.node().unwrap_or_default();
            let kept = description.smmus.iter().any(|unit| unit.block == **block)
                || **block == description.uarts[0].block
                || path.contains("reserved-memory")
                || path.contains("interrupt-controller@1");
            !kept && matches!(block.source, Source::Tree(_)) && **block != *description.gic.block()
        });
        for block in shown {
            for range in block.reg {
                let pages = range.page_cover().unwrap();
                let seen = soc.device_windows().iter().any(|window| window.covers(&pages));
                assert!(seen, "{}: {:?} {range:?}", description.name, block.source);
            }
        }
    }
}

#[test]
fn what_el2_drives_is_mapped_before_anything_else() {
    for description in SOCS {
        let registers = registers(description, Some(&description.uarts[0]));
        for range in registers.as_slice() {
            assert!(
                range.start().is_aligned(PAGE_SIZE) && range.len() % PAGE_SIZE == 0,
                "{range:?}"
            );
        }
        let has = |range: PhysRange| registers.as_slice().iter().any(|mapped| mapped.covers(&range));
        assert!(has(description.uarts[0].block.first()));
        assert!(description.gic.block().reg[..2].iter().all(|range| has(*range)));
        for unit in description.smmus {
            assert_eq!(has(unit.registers()), unit.contains(), "{}", description.name);
        }
        if let Some(watchdog) = &description.watchdog {
            let petted = watchdog.handover == WatchdogHandover::Petted;
            assert_eq!(has(watchdog.block.first()), petted, "{}", description.name);
        }
    }
}

#[test]
fn a_master_is_contained_or_withheld_or_named() {
    assert_eq!(apq8016::APQ8016.uncontained().count(), 12);
    assert_eq!(apq8016::APQ8016.uncontained_names().as_slice().len(), 12);
    for description in &SOCS[1..] {
        let names: Vec<_> = description.uncontained().map(|master| master.name).collect();
        assert_eq!(names, description.uncontained_names().as_slice());
        assert!(!names.iter().any(|name| description.withholds(name)));
    }
    assert_eq!(
        qcs6490::QCS6490.uncontained().count(),
        0,
        "the GPU and its unit are withheld"
    );
}
