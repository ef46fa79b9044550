//! Devices: on the host's tables before the host runs, or known not to be.

use super::BootError;
use super::options::argument;
use crate::board::BoardConfig;
use crate::log;
use leasehold_hal::{Iommu, Stage2Geometry, Vmid};
use leasehold_memory_map::{MachineTree, PhysAddr};
use spin::mutex::SpinMutex;

/// Whether every bus master of the host's is kept out of lent memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// All are.
    Whole,
    /// Some are not, which is accepted.
    Accepted,
    /// Some are not: nothing can be lent.
    Refused,
}

impl Containment {
    /// Which bus masters of the machine no SMMU contains, and what that means for lending.
    /// `has_iommu` says whether there is any unit.
    pub(super) fn of(config: &BoardConfig, tree: &MachineTree<'_>, arguments: &str, has_iommu: bool) -> Self {
        for master in config.uncontained_masters {
            log::warn!("no SMMU contains {=str}", *master);
        }
        if let Some(bridge) = tree.bypass() {
            log::warn!("no SMMU contains what is behind {}", bridge);
        }
        if has_iommu && tree.bypass().is_none() && config.uncontained_masters.is_empty() {
            return Self::Whole;
        }
        let accepted = config.overrides && argument(arguments, "leasehold.uncontained=") == Some("accept");
        if accepted || config.accept_uncontained {
            log::warn!("lent memory is within their reach: accepted");
            Self::Accepted
        } else {
            log::warn!("lent memory would be within their reach: lending is refused");
            Self::Refused
        }
    }
}

/// Puts every stream on the host's tables at `root`.
pub(super) fn attach<I: Iommu>(
    iommu: Option<I>,
    attached: &SpinMutex<Option<I::Attached>>,
    root: PhysAddr,
    geometry: &Stage2Geometry,
) -> Result<(), BootError> {
    let Some(iommu) = iommu else {
        log::warn!("no iommu: devices reach all memory");
        return Ok(());
    };
    *attached.lock() = Some(iommu.attach(root, geometry, Vmid::HOST)?);
    log::info!("iommu: every stream is on the host's tables");
    Ok(())
}
