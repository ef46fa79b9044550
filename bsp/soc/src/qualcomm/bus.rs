//! How a SoC's parts reach their registers: on the machine itself, or on models.

use leasehold_drivers::firmware::Smc;
use leasehold_drivers::mmio::{Io, Mmio};
use leasehold_drivers::smmu::v3::{MEMORY_BYTES, StaticMemory};
use leasehold_hal::Firmware;
use leasehold_memory_map::{Address, PhysAddr, PhysRange};

/// What is behind physical addresses.
///
/// [`Identity`] is the machine that the program runs on. On the build machine, a test's own bus gives for each range what
/// stands for it: a driver's model, which is an [`Io`] too (an enum of them, where several kinds are needed). The code in
/// between, [`Qualcomm`](super::Qualcomm) and the drivers, is the same.
pub trait Bus: Send + Sync {
    /// A way to one block's registers.
    type Io: Io + Send + Sync;
    /// What is behind SMC.
    type Firmware: Firmware;

    /// The registers at `range`: a whole block's, as the SoC's description has them. Asked for once for each block that
    /// is EL2's, for the watchdog that it pets, and for no other.
    fn registers(&self, range: PhysRange) -> Self::Io;

    /// Memory that an SMMUv3 and its driver share, [`MEMORY_BYTES`] aligned to as many: the same each time, and given to
    /// one unit alone. `None` where there is none.
    fn smmu_memory(&self) -> Option<(Self::Io, PhysRange)>;

    /// The firmware behind SMC, if there is any beyond PSCI.
    fn firmware(&self) -> Option<Self::Firmware>;
}

/// What an SMMUv3 and its driver share.
static SMMU_MEMORY: StaticMemory = StaticMemory::new();

/// The machine that the program runs on, with virtual addresses that are physical ones.
#[derive(Debug)]
pub struct Identity(());

impl Identity {
    /// The way to the machine's registers.
    ///
    /// # Safety
    /// The registers that the SoC's description calls EL2's ([`registers`](super::registers)) are there, mapped at their
    /// own addresses as device memory, and the program's image at its own as Inner Shareable write-back memory, for ever.
    /// Nothing else in the program drives them. Where a board's policy lets the host call firmware, there is one at EL3 that
    /// keeps to Arm DEN0028.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Bus for Identity {
    type Io = Mmio;
    type Firmware = Smc;

    fn registers(&self, range: PhysRange) -> Mmio {
        // SAFETY: `new`'s caller vouches for the registers that are asked for, which are a description's; the drivers let
        // no block write to memory but to what `smmu_memory` gives.
        unsafe { Mmio::identity(range) }
    }

    fn smmu_memory(&self) -> Option<(Mmio, PhysRange)> {
        let start = PhysAddr::checked(SMMU_MEMORY.as_ptr().expose_provenance() as u64)?;
        let range = PhysRange::new(start, MEMORY_BYTES as u64).ok()?;
        // SAFETY: `new`'s caller vouches for the image, where `SMMU_MEMORY` is, and nothing else in it refers to that.
        Some((unsafe { Mmio::identity(range) }, range))
    }

    fn firmware(&self) -> Option<Smc> {
        // SAFETY: `new`'s caller vouches for the firmware; the core gives it no address that it has not vetted.
        Some(unsafe { Smc::new() })
    }
}
