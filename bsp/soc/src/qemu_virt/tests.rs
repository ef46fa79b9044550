use super::*;
use leasehold_drivers::mmio::Mmio;
use leasehold_fdt::{Fdt, Token};
use leasehold_memory_map::PAGE_SIZE;
use std::vec::Vec as StdVec;

#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

/// Trees that QEMU 10.0 wrote, with two UARTs, an SMMU and four CPUs.
static GICV2: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../../memory-map/tests/data/virt-gicv2.dtb"));
static GICV3: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../../memory-map/tests/data/virt-gicv3.dtb"));
static OTHER: &Aligned<[u8]> = &Aligned(*include_bytes!("../../../../memory-map/tests/data/small-soc.dtb"));

/// A bus that nobody may use.
#[derive(Debug)]
struct Nowhere;

impl Bus for Nowhere {
    type Io = Mmio;
    type Firmware = leasehold_hal::NoFirmware;

    fn firmware(&self) -> Option<Self::Firmware> {
        None
    }

    fn registers(&self, range: PhysRange) -> Mmio {
        panic!("touches {range:?}")
    }

    fn smmu_memory(&self) -> Option<(Mmio, PhysRange)> {
        None
    }
}

fn describe(config: QemuVirtConfig) -> Result<QemuVirt<Nowhere>, SocError> {
    QemuVirt::over(config, Nowhere)
}

fn machine(blob: &'static Aligned<[u8]>) -> QemuVirt<Nowhere> {
    let tree = MachineTree::parse(&blob.0).unwrap();
    describe(QemuVirtConfig::from_tree(&tree).unwrap()).unwrap()
}

fn with_cpus(gic: GicVersion, cpus: usize) -> QemuVirtConfig {
    QemuVirtConfig { gic, cpus, smmu: true }
}

/// The `reg` entries of all nodes with two cells of address and two of size, but memory.
fn registers(blob: &'static Aligned<[u8]>) -> StdVec<PhysRange> {
    let tree = Fdt::new(&blob.0).unwrap();
    let mut tokens = tree.tokens();
    let mut found = StdVec::new();
    let mut path = StdVec::new();
    while let Some(token) = tokens.next().unwrap() {
        match token {
            Token::BeginNode(name) => path.push(name),
            Token::EndNode => {
                path.pop();
            }
            Token::Property(property) if property.name == b"reg" && property.value.len() % 16 == 0 => {
                if path
                    .last()
                    .is_some_and(|name| !name.starts_with(b"memory@") && !name.starts_with(b"module@"))
                {
                    found.extend(property.value.chunks(16).map(|entry| {
                        let [start, len] = [0, 8].map(|at| u64::from_be_bytes(entry[at..at + 8].try_into().unwrap()));
                        range(start, len)
                    }));
                }
            }
            Token::Property(_) => {}
        }
    }
    found
}

#[test]
fn the_tree_says_what_it_is() {
    for (blob, gic) in [(GICV2, GicVersion::V2), (GICV3, GicVersion::V3)] {
        assert_eq!(machine(blob).layout.config, with_cpus(gic, 4));
    }
    let tree = MachineTree::parse(&OTHER.0).unwrap();
    assert!(matches!(
        QemuVirtConfig::from_tree(&tree),
        Err(SocError::Mismatch(_) | SocError::Interrupts(_))
    ));
}

#[test]
fn each_device_of_the_tree_is_seen_or_hidden() {
    for blob in [GICV2, GICV3] {
        let machine = machine(blob);
        let registers = registers(blob);
        assert!(registers.len() > 40, "{}", registers.len());
        for device in registers {
            let seen = machine.device_windows().iter().any(|window| window.covers(&device));
            let hidden = machine.hidden().iter().any(|range| range.covers(&device));
            assert!(seen != hidden || device == GIC_REDIST, "{device:?}");
        }
    }
}

#[test]
fn windows_are_sorted_whole_pages_and_apart_from_what_is_hidden() {
    for gic in [GicVersion::V2, GicVersion::V3] {
        for cpus in [0, 1, 8, MAX_CPUS] {
            let machine = describe(with_cpus(gic, cpus)).unwrap();
            let windows = machine.device_windows();
            for pair in windows.windows(2) {
                assert!(pair[0].end() <= pair[1].start(), "{pair:?}");
            }
            for window in windows {
                assert!(window.start().is_aligned(PAGE_SIZE) && window.len() % PAGE_SIZE == 0);
                assert!(
                    !machine.hidden().iter().any(|hidden| hidden.overlaps(window)),
                    "{window:?}"
                );
                assert!(window.end().get() <= 1 << machine.ipa_bits());
            }
        }
    }
    let too_many = SocError::Interrupts(InterruptError::TooManyCpus(MAX_CPUS));
    assert_eq!(describe(with_cpus(GicVersion::V3, MAX_CPUS + 1)).err(), Some(too_many));
}

#[test]
fn of_a_redistributor_the_host_sees_the_second_frame() {
    let machine = describe(with_cpus(GicVersion::V3, 2)).unwrap();
    let seen: StdVec<_> = machine
        .device_windows()
        .iter()
        .filter(|window| GIC_REDIST.overlaps(window))
        .copied()
        .collect();
    assert_eq!(seen, [range(0x080b_0000, 0x1_0000), range(0x080d_0000, 0x1_0000)]);
}

#[test]
fn masters_past_the_smmu_are_hidden() {
    for gic in [GicVersion::V2, GicVersion::V3] {
        let machine = describe(with_cpus(gic, 4)).unwrap();
        for master in [FW_CFG, VIRTIO_MMIO, PLATFORM_BUS, SMMU] {
            assert!(machine.hidden().contains(&master));
        }
        assert_eq!(machine.hidden().contains(&GIC_ITS), gic == GicVersion::V3);
        assert_eq!(machine.hidden().contains(&GIC_VCPU), gic == GicVersion::V2);
    }
}

#[test]
fn parts_are_given_once() {
    let mut machine = describe(QemuVirtConfig {
        smmu: false,
        ..with_cpus(GicVersion::V3, 1)
    })
    .unwrap();
    assert!(matches!(machine.iommu(), Ok(None)));
    assert!(matches!(machine.iommu(), Err(SocError::Taken)));
}
