//! What the boot path needs of the machine besides what the board describes.

use crate::features::Features;
use crate::machine::Machine;
use leasehold_hal::Stage2Geometry;
use leasehold_memory_map::{PhysAddr, PhysRange, RangeError};

/// The boot CPU, RAM as EL2 reaches it, and the firmware below: `arch` on the target, a model on the build machine.
pub trait Platform {
    /// What the CPU does by itself of [`Machine`].
    type Cpu: Machine;

    /// The boot CPU's hands.
    fn cpu(&self) -> Self::Cpu;

    /// What the boot CPU has.
    fn features(&self) -> Features;

    /// The boot CPU's affinity: Aff3 to Aff0 where MPIDR_EL1 has them.
    fn affinity(&self) -> u64;

    /// Calls the firmware with x0 to x3, and gives x0 to x3 back. The caller has made sure that the call exposes no
    /// memory.
    fn firmware(&self, arguments: [u64; 4]) -> [u64; 4];

    /// Where EL2's image is, all of it.
    ///
    /// # Errors
    /// [`RangeError`] where that is no range.
    fn image(&self) -> Result<PhysRange, RangeError>;

    /// The bytes of the device tree at `address`, as far as its header says. `None` where there is no tree.
    fn device_tree(&self, address: u64) -> Option<&[u8]>;

    /// Lets EL2 reach `ram`. The tree is at `device_tree`, and within reach already.
    fn add_ram(&self, ram: PhysRange, device_tree: u64);

    /// Copies from RAM.
    fn read_ram(&self, from: PhysAddr, into: &mut [u8]);

    /// Lets `write` write into free RAM at `place`, which is then cleaned to the point of coherency: the host starts with
    /// its caches off.
    fn fill_ram<R>(&self, place: PhysRange, write: impl FnOnce(&mut [u8]) -> R) -> R;

    /// Prepares the boot CPU for a host at EL1, on the tables of `geometry` at `root`.
    fn init_cpu(&self, features: &Features, geometry: &Stage2Geometry, root: PhysAddr);
}
