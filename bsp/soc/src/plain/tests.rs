use super::*;
use crate::imx8mp::Imx8mp;
use crate::zynqmp::Zynqmp;
use leasehold_memory_map::PAGE_SIZE;

fn consistent<M: PlainMachine>() {
    let PlainDescription {
        gic,
        log,
        registers,
        windows,
        hidden,
        ram,
        ipa_bits,
        ..
    } = *M::DESCRIPTION;
    for pair in windows.windows(2) {
        assert!(pair[0].end() <= pair[1].start(), "{pair:?} are not in order");
    }
    for window in windows {
        assert!(window.start().is_aligned(PAGE_SIZE) && window.len().is_multiple_of(PAGE_SIZE));
        assert!(window.end().get() <= 1 << ipa_bits);
        for other in hidden.iter().chain(ram).chain([&log]) {
            assert!(!window.overlaps(other), "{window:?} and {other:?}");
        }
    }
    let (used, unseen): (Vec<PhysRange, 4>, Vec<PhysRange, 4>) = match gic {
        PlainGic::V2 {
            distributor,
            cpu_interface,
            hypervisor,
            virtual_cpu_interface,
        } => (
            [distributor, cpu_interface].into_iter().collect(),
            [hypervisor, virtual_cpu_interface].into_iter().collect(),
        ),
        PlainGic::V3 {
            distributor,
            redistributors,
        } => ([distributor, redistributors].into_iter().collect(), Vec::new()),
    };
    for range in used.iter().chain([&log]) {
        assert!(registers.contains(range), "EL2 uses {range:?}");
    }
    for range in &unseen {
        assert!(!windows.iter().any(|window| window.overlaps(range)), "{range:?}");
    }
    assert!(!M::DESCRIPTION.uncontained.is_empty(), "nothing contains its masters");
}

#[test]
fn every_description_is_consistent() {
    consistent::<Zynqmp>();
    consistent::<Imx8mp>();
}
