//! Several SMMUs as one: what a host's devices are behind.
//!
//! What is asked of all is asked of each, whatever another says, and confirmed only when every one confirms. So an error is
//! the first one's, and has not kept the rest from being contained.

use crate::qualcomm::Bus;
use heapless::Vec;
use leasehold_drivers::mmio::{Io, Mmio};
use leasehold_drivers::smmu::{v2, v3};
use leasehold_hal::{AttachedIommu, Iommu, IommuError, IommuEvent, IommuTimeout, SocError, Stage2Geometry, Vmid};
use leasehold_memory_map::{Ipa, PageRange, PhysAddr, PhysRange};

use crate::description::{SmmuUnit, SmmuUnitKind};

/// The most units that are driven.
pub const MAX_UNITS: usize = 4;

/// A unit as it was found.
#[allow(clippy::large_enum_variant, reason = "there are few")]
enum Found<I> {
    V2(v2::Inherited<I>),
    V3(v3::Aborting<I, I>),
}

/// A unit that has every stream on the host's tables.
#[allow(clippy::large_enum_variant, reason = "there are few")]
enum Unit<I> {
    V2(v2::Attached<I>),
    V3(v3::Attached<I, I>),
}

macro_rules! either {
    ($unit:expr, $inner:ident => $do:expr) => {
        match $unit {
            Unit::V2($inner) => $do,
            Unit::V3($inner) => $do,
        }
    };
}

/// Units before they walk the host's tables.
pub struct Units<I = Mmio> {
    found: Vec<Found<I>, MAX_UNITS>,
}

/// Units that walk the host's tables.
pub struct AttachedUnits<I = Mmio> {
    units: Vec<Unit<I>, MAX_UNITS>,
    /// Whose event is next, so that none can hide another's.
    turn: usize,
    /// Which one did not confirm in time last.
    late: Option<usize>,
}

impl<I: Io + Send + Sync> Units<I> {
    /// The units among `described` that are EL2's. An SMMUv3 refuses every stream from now on; an SMMUv2 is as firmware
    /// has left it. `None` where none is EL2's.
    ///
    /// # Errors
    /// [`SocError::Iommu`] when a unit is not as it must be, [`SocError::IommuMemory`] when there is no memory for its
    /// queues or there are more units than [`MAX_UNITS`]: some may let past what firmware let past.
    pub fn find(bus: &impl Bus<Io = I>, described: &[SmmuUnit]) -> Result<Option<Self>, SocError> {
        let none = SocError::IommuMemory(v3::MEMORY_BYTES);
        let mut memory = bus.smmu_memory();
        let mut found = Vec::new();
        for unit in described.iter().filter(|unit| unit.contains()) {
            let registers = unit.registers();
            let unit = match unit.kind {
                SmmuUnitKind::V2(instance) => Found::V2(v2::Inherited::over(bus.registers(registers), instance)?),
                SmmuUnitKind::V3 => {
                    let (shared, range) = memory.take().ok_or(none)?;
                    let unit = v3::Found::over(bus.registers(registers), registers, shared, range)?;
                    Found::V3(unit.reset()?)
                }
            };
            found.push(unit).map_err(|_| none)?;
        }
        Ok((!found.is_empty()).then_some(Self { found }))
    }
}

impl<I: Io + Send> Iommu for Units<I> {
    type Attached = AttachedUnits<I>;

    /// The least of all units', as they walk the same tables.
    fn bbm_level(&self) -> u8 {
        let level = |unit: &Found<I>| match unit {
            Found::V2(unit) => unit.bbm_level(),
            Found::V3(unit) => unit.bbm_level(),
        };
        self.found.iter().map(level).min().unwrap_or(0)
    }

    /// Whether all do.
    fn walks_coherently(&self) -> bool {
        self.found.iter().all(|unit| match unit {
            Found::V2(unit) => unit.walks_coherently(),
            Found::V3(unit) => unit.walks_coherently(),
        })
    }

    /// The first unit's. The others' are hidden with it ([`Qualcomm`](super::Qualcomm)).
    fn registers(&self) -> PhysRange {
        match &self.found[0] {
            Found::V2(unit) => unit.registers(),
            Found::V3(unit) => unit.registers(),
        }
    }

    /// Attaches every unit, also behind one that fails: else the streams of those would be where firmware left them.
    fn attach(self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<AttachedUnits<I>, IommuError> {
        let mut units = Vec::new();
        let mut first = Ok(());
        for found in self.found {
            let unit = match found {
                Found::V2(unit) => unit.attach(root, geometry, vmid).map(Unit::V2),
                Found::V3(unit) => unit.attach(root, geometry, vmid).map(Unit::V3),
            };
            match unit {
                // As many as were found, which fitted.
                Ok(unit) => drop(units.push(unit)),
                Err(error) => first = first.and(Err(error)),
            }
        }
        first.map(|()| AttachedUnits {
            units,
            turn: 0,
            late: None,
        })
    }
}

impl<I: Io + Send> AttachedUnits<I> {
    /// Asks each unit, and gives the first error.
    fn each(&mut self, mut ask: impl FnMut(&mut Unit<I>) -> Result<(), IommuError>) -> Result<(), IommuError> {
        let mut first = Ok(());
        for (n, unit) in self.units.iter_mut().enumerate() {
            let answer = ask(unit);
            if answer == Err(IommuError::TimedOut) {
                self.late = Some(n);
            }
            first = first.and(answer);
        }
        first
    }
}

impl<I: Io + Send> AttachedIommu for AttachedUnits<I> {
    fn invalidate(&mut self, vmid: Vmid, range: PageRange<Ipa>) -> Result<(), IommuError> {
        self.each(|unit| either!(unit, unit => unit.invalidate(vmid, range)))
    }

    fn invalidate_all(&mut self, vmid: Vmid) -> Result<(), IommuError> {
        self.each(|unit| either!(unit, unit => unit.invalidate_all(vmid)))
    }

    fn sync(&mut self) -> Result<(), IommuError> {
        self.each(|unit| either!(unit, unit => unit.sync()))
    }

    fn next_event(&mut self) -> Option<IommuEvent> {
        for _ in 0..self.units.len() {
            let turn = self.turn;
            self.turn = if turn + 1 == self.units.len() { 0 } else { turn + 1 };
            let unit = self.units.get_mut(turn)?;
            if let Some(event) = either!(unit, unit => unit.next_event()) {
                return Some(event);
            }
        }
        None
    }

    fn timeout(&self) -> Option<IommuTimeout> {
        let unit = self.units.get(self.late?)?;
        either!(unit, unit => unit.timeout())
    }
}
