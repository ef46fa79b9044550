//! A board's memory, and how a tree's is joined with it.

use crate::map::{MapError, MemoryMap, Payload, RegionKind, Source};
use crate::range::PhysRange;
use crate::tree::{MachineTree, ModuleKind, NodeName, ReservationKind};

/// Whom a carve-out is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum CarveoutKind {
    /// The hypervisor. It lies in RAM, or inside of one reserved region, or where the tree has no memory at all.
    Hypervisor,
    /// Firmware or the secure world: no one at EL2 or below touches it.
    Firmware,
}

/// A range that the board keeps from the host, in whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Carveout<'b> {
    /// What it is, for the log.
    pub name: &'b str,
    /// Where it is.
    pub range: PhysRange,
    /// Whom it is for.
    pub kind: CarveoutKind,
}

/// What the board's constant says of memory. The tree may have less, never more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardMemory<'b> {
    /// Where RAM can be. Each of the tree's memory ranges must lie inside of one of these.
    pub ram: &'b [PhysRange],
    /// What is kept from the host.
    pub carveouts: &'b [Carveout<'b>],
}

impl MemoryMap {
    /// Joins the memory, reservations and modules of `tree`, which itself lies at `blob`, with the board's constant.
    ///
    /// A reserved range counts where the tree has memory. Memory is rounded inwards to whole pages, all else outwards.
    ///
    /// # Errors
    /// [`MapError`], which names the property that is in conflict: memory ranges that overlap or that the board does
    /// not have, a carve-out across reserved memory, a module outside of free RAM.
    pub fn new(tree: &MachineTree<'_>, board: &BoardMemory<'_>, blob: PhysRange) -> Result<Self, MapError> {
        let mut map = Self::default();
        for range in tree.memory() {
            if !board.ram.iter().any(|limit| limit.covers(range)) {
                return Err(MapError::BeyondBoard { range: *range });
            }
            map.add_memory(*range)?;
        }
        if map.regions().is_empty() {
            return Err(MapError::NoMemory);
        }
        for range in tree.reservations() {
            map.reserve(Source::MemoryReservation, *range, false)?;
        }
        for reserved in tree.reserved() {
            let what = Source::ReservedMemory(NodeName::new(reserved.name.as_bytes()));
            map.reserve(what, reserved.range, reserved.kind == ReservationKind::NoMap)?;
        }
        for carveout in board.carveouts {
            let what = Source::Board(NodeName::new(carveout.name.as_bytes()));
            let kind = match carveout.kind {
                CarveoutKind::Hypervisor => RegionKind::Hypervisor,
                CarveoutKind::Firmware => RegionKind::Firmware,
            };
            map.keep(what, carveout.range, kind)?;
        }
        map.claim(Source::Tree, blob, RegionKind::Payload(Payload::Tree))?;
        map.claim_payloads(tree)?;
        Ok(map)
    }

    fn claim_payloads(&mut self, tree: &MachineTree<'_>) -> Result<(), MapError> {
        let Some(chosen) = tree.chosen() else {
            return Ok(());
        };
        for module in chosen.modules() {
            let payload = match module.kind {
                ModuleKind::Kernel => Payload::Kernel,
                ModuleKind::Ramdisk => Payload::Ramdisk,
                ModuleKind::Other => Payload::Other,
            };
            let what = Source::Module(NodeName::new(module.name.as_bytes()));
            self.claim(what, module.range, RegionKind::Payload(payload))?;
        }
        match chosen.initrd {
            Some(range) => self.claim(Source::Initrd, range, RegionKind::Payload(Payload::Ramdisk)),
            None => Ok(()),
        }
    }
}
