//! A machine, as the core takes it.

use crate::{Console, InterruptController, Iommu};

/// The parts of a machine that the core needs, by type.
pub trait Soc {
    /// What contains devices.
    type Iommu: Iommu;
    /// What routes interrupts.
    type InterruptController: InterruptController;
    /// Where the log goes.
    type Console: Console;
}
