//! Who reaches what, found out without the code that has decided it: CPUs by a walk of the tables in memory, devices by
//! accesses of their own.

use crate::machine::{Unit, UnitModel};
use crate::twin::Twin;
use leasehold_drivers::smmu::v2::Streams;
use leasehold_drivers::smmu::v3::model::SimMemory;
use leasehold_hal::{InterruptController, Soc};
use leasehold_hyp_core::board::Board;
use leasehold_memory_map::{Address, PAGE_SIZE, PhysRange, RegionKind};
use leasehold_tests::walker::{Map, Physical, Root};
use std::collections::BTreeSet;

/// Ranges as addresses of the first byte and of the one behind the last.
pub type Ranges = Vec<(u64, u64)>;

/// Streams of an SMMUv3, which treats all alike whether the description names them or not.
const ANY_STREAMS: [u32; 4] = [0, 8, 0x100, 0xffff];

struct Walked<'a>(&'a SimMemory);

impl Physical for Walked<'_> {
    fn page(&mut self, address: u64) -> std::io::Result<[u64; 512]> {
        Ok(self.0.page(address))
    }
}

/// Sorted ranges, as few as can be.
#[must_use]
pub fn joined(ranges: impl IntoIterator<Item = PhysRange>) -> Ranges {
    let mut all: Vec<_> = ranges
        .into_iter()
        .map(|range| (range.start().get(), range.end().get()))
        .collect();
    all.sort_unstable();
    let mut joined: Ranges = Vec::new();
    for (start, end) in all {
        match joined.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

impl<B: Board> Twin<B> {
    /// What the host's CPUs reach now.
    ///
    /// # Errors
    /// What is wrong with the tables.
    pub fn cpus_reach(&self) -> Result<Map, String> {
        let stage2 = *self.platform.stage2.borrow();
        let (geometry, root) = stage2.ok_or("the CPU was given no tables")?;
        let root = Root {
            table: root.get(),
            level: 1,
            bits: geometry.ipa_bits().into(),
        };
        let map = Map::walk(&mut Walked(&self.platform.memory), root).map_err(|error| error.to_string())?;
        match map.leaves.iter().find(|leaf| leaf.input != leaf.output) {
            Some(leaf) => Err(format!("{:#x} leads to {:#x}", leaf.input, leaf.output)),
            None => Ok(map),
        }
    }

    /// What the host is to have: RAM and devices.
    ///
    /// # Panics
    /// When the board has not booted.
    pub fn hosts(&self) -> Ranges {
        let booted = self.booted.as_ref().expect("a board that has booted");
        joined(
            booted
                .map
                .host_memory()
                .chain(booted.soc.device_windows().iter().copied()),
        )
    }

    /// What nobody but EL2 is to have, with names.
    ///
    /// # Panics
    /// When the board has not booted.
    pub fn withheld(&self) -> Vec<(&'static str, PhysRange)> {
        let booted = self.booted.as_ref().expect("a board that has booted");
        let own = booted
            .map
            .regions()
            .iter()
            .filter(|region| region.kind == RegionKind::Hypervisor)
            .map(|region| ("EL2's memory", region.range));
        let hidden = booted.soc.hidden().iter().map(|range| ("hidden", *range));
        let trapped = booted
            .interrupts
            .trapped_frames()
            .iter()
            .map(|range| ("trapped", *range));
        own.chain(hidden).chain(trapped).collect()
    }

    /// Checks that CPUs and devices reach `hosts`, and nothing else. Returns what was tried.
    ///
    /// # Errors
    /// Who reaches what he must not, or does not reach what he must.
    pub fn check_reach(&self, hosts: &Ranges) -> Result<Tried, String> {
        let map = self.cpus_reach()?;
        if map.ranges != *hosts {
            return Err(format!("the host's CPUs reach {:x?}, and not {hosts:x?}", map.ranges));
        }
        for (what, range) in self.withheld() {
            if let Some(leaf) = map.reaches(range.start().get(), range.end().get()) {
                return Err(format!("the host's CPUs reach {what}: {leaf:x?}"));
            }
        }
        let withheld: Vec<_> = self
            .withheld()
            .iter()
            .map(|(_, range)| (range.start().get(), range.end().get()))
            .collect();
        let (inside, outside) = probes(hosts, &withheld);
        let mut tried = Tried::default();
        for unit in &self.machine.units {
            self.try_unit(unit, &inside, &outside, &mut tried)?;
        }
        Ok(tried)
    }

    fn try_unit(&self, unit: &Unit, inside: &[u64], outside: &[u64], tried: &mut Tried) -> Result<(), String> {
        let Some(model) = &unit.model else { return Ok(()) };
        let all: Vec<_> = unit
            .masters
            .iter()
            .flat_map(|master| &master.streams)
            .copied()
            .collect();
        let mut named: BTreeSet<u32> = all.iter().flat_map(|streams| members(*streams)).collect();
        if matches!(model, UnitModel::V3(_)) {
            named.extend(ANY_STREAMS);
        }
        for stream in &named {
            for address in inside {
                let is = self.platform.memory.read(*address);
                if model.reads(*stream, *address) != Some(is) || !model.writes(*stream, *address, is) {
                    return Err(format!("{}: stream {stream:#x} does not reach {address:#x}", unit.name));
                }
                tried.granted += 2;
            }
            for address in outside {
                if model.reads(*stream, *address).is_some() || model.writes(*stream, *address, !0) {
                    return Err(format!("{}: stream {stream:#x} reaches {address:#x}", unit.name));
                }
                tried.refused += 2;
            }
        }
        if matches!(model, UnitModel::V3(_)) {
            return Ok(());
        }
        // Streams that nobody has are refused, also where the host's own are let in.
        let strangers = (0..0x8000_u32).step_by(97).filter(|id| {
            let stranger = Streams::new(*id as u16, 0);
            !all.iter().any(|streams| streams.overlaps(stranger))
        });
        for stream in strangers {
            for address in inside.iter().step_by(5).chain(outside.iter().step_by(5)) {
                if model.reads(stream, *address).is_some() {
                    return Err(format!(
                        "{}: stream {stream:#x}, which nobody has, reaches {address:#x}",
                        unit.name
                    ));
                }
                tried.refused += 1;
            }
        }
        Ok(())
    }
}

/// How many accesses of devices there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    /// Those that got through.
    pub granted: u64,
    /// Those that did not.
    pub refused: u64,
}

/// Streams of a group: its ends, and one for each bit that does not matter.
fn members(streams: Streams) -> Vec<u32> {
    let bits = (0..16).map(|bit| 1_u16 << bit).filter(|bit| streams.mask & bit != 0);
    let id = streams.id & !streams.mask;
    let mut all: Vec<u32> = bits.map(|bit| (id | bit).into()).collect();
    all.extend([id, id | streams.mask].map(u32::from));
    all
}

/// Addresses at and around the ends of ranges: those that the host has, and those that it has not.
fn probes(hosts: &Ranges, withheld: &[(u64, u64)]) -> (Vec<u64>, Vec<u64>) {
    let has = |address: u64| hosts.iter().any(|(start, end)| (*start..*end).contains(&address));
    let mut all = BTreeSet::new();
    for (start, end) in hosts.iter().copied().chain(withheld.iter().copied()) {
        let middle = start + (end - start) / 2 / PAGE_SIZE * PAGE_SIZE;
        all.extend([start, middle, end - PAGE_SIZE, end - 8, end]);
        all.extend(start.checked_sub(8));
    }
    all.into_iter().partition(|address| has(*address))
}
