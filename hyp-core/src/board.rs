//! A board, as the core takes it.

use crate::fault::Policy;
use leasehold_hal::{Iommu, Soc, SocError};
use leasehold_memory_map::{Kept, MachineTree, PhysAddr, PhysRange};

/// At which exception level the loader enters the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum El2Entry {
    /// At EL2.
    Loader,
    /// At EL1 under Gunyah, which leaves EL2 when it is asked to: one call, made by the start code. A loader that
    /// enters at EL2 will do too.
    GunyahExit,
}

impl El2Entry {
    /// Whether Gunyah is asked.
    #[must_use]
    pub const fn asks_gunyah(self) -> bool {
        matches!(self, Self::GunyahExit)
    }
}

/// What the author of a board decides.
#[derive(Debug)]
pub struct BoardConfig {
    /// The name, as `cargo xtask build --board` knows it.
    pub name: &'static str,
    /// Where the image is linked, and where the loader must have put it.
    pub load_address: PhysAddr,
    /// At which exception level it is entered.
    pub entry: El2Entry,
    /// Registers that EL2 itself uses, in whole pages: the log channel, the interrupt controller, the SMMU. Mapped
    /// before anything is known of the machine.
    pub registers: &'static [PhysRange],
    /// Where RAM can be. The tree may have less, never more.
    pub ram: &'static [PhysRange],
    /// Nodes of the machine's tree that the host does not get: what EL2 keeps.
    pub kept: &'static [Kept<'static>],
    /// What is done when the host touches what it has lent.
    pub policy: Policy,
    /// ISS2 (bits 55:32) and DFSC (bits 5:0) of the ESR_EL1 by which `new-syndrome` tells a host's kernel that stage 2
    /// has refused it: for kernels that are built to know them.
    pub new_syndrome: u64,
    /// Whether `leasehold.fault=`, `leasehold.log=` and `leasehold.uncontained=accept` in EL2's boot arguments change
    /// anything: on test boards.
    pub overrides: bool,
    /// Bus masters that no SMMU contains, by name; PCI host bridges without an `iommu-map` in the tree are found at
    /// boot. Where there are any, lending is refused unless [`accept_uncontained`](Self::accept_uncontained).
    pub uncontained_masters: &'static [&'static str],
    /// The board's author accepts that these masters can reach lent memory.
    pub accept_uncontained: bool,
}

/// The board that an image is for.
pub trait Board: Sync + Sized + 'static {
    /// Its machine.
    type Soc: Soc;

    /// Its author's decisions.
    const CONFIG: BoardConfig;

    /// The log channel, before anything else of the machine is known.
    ///
    /// # Errors
    /// Why there is none; the boot goes on without a log.
    fn console() -> Result<<Self::Soc as Soc>::Console, SocError>;

    /// The rest of the machine, from its tree.
    ///
    /// # Errors
    /// Why this is not the machine that the board is for: the boot stops.
    fn soc(tree: &MachineTree) -> Result<Self::Soc, SocError>;
}

/// A board's log channel.
pub type ConsoleOf<B> = <<B as Board>::Soc as Soc>::Console;
/// A board's interrupt controller.
pub type InterruptsOf<B> = <<B as Board>::Soc as Soc>::InterruptController;
/// A board's IOMMU, on the host's tables.
pub type AttachedOf<B> = <<<B as Board>::Soc as Soc>::Iommu as Iommu>::Attached;
