//! What the hypervisor needs to know from a machine's device tree.
//!
//! Written for what QEMU (`virt`, `guest-loader`), U-Boot and Qualcomm's boot loaders hand over: memory in one node or
//! several, entries of length zero that a loader did not fill, `linux,initrd-*` of 32 or 64 bits, modules under
//! `/chosen` whose parent does not say how many cells an address has.
//!
//! One pass checks the blob, a second reads it. Nothing is copied: names and strings point into the blob.

mod chosen;
mod error;
mod machine;
mod read;
pub(crate) mod value;
pub(crate) mod walk;

pub use chosen::{Chosen, Module, ModuleKind, Stdout};
pub use error::{Fault, NodeName, TreeError};
pub use machine::{
    Conduit, Cpu, DynamicReservation, EnableMethod, Gic, GicVersion, MachineTree, ReservationKind, ReservedRange,
};
pub(crate) use read::gic_version;
