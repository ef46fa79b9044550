//! The hypervisor's core.
//!
//! Everything but [`arch`] is logic that runs on the build machine too: it reaches the CPU, tables and page contents
//! through [`Machine`], devices through the traits of `leasehold-hal`.
// Tests, and the build scripts of boards, run on the build machine.
#![cfg_attr(target_os = "none", no_std)]

pub mod arch;
pub mod board;
pub mod boot;
pub mod digest;
pub mod fault;
pub mod features;
pub mod ffa;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
pub mod hypervisor;
mod id;
pub mod layout;
mod log;
pub mod logring;
mod machine;
mod ownership;
pub mod pl011;
pub mod psci;
pub mod sdei;
pub mod smc;
mod stage2;
pub mod trap;
pub mod vm;

pub use id::{Handle, VmId};
pub use machine::{El2, Machine, SyncError, Unit};
pub use ownership::{
    Constituent, GuestPage, HostMap, LeaseInfo, LeaseState, MAX_HOLDS, Ownership, OwnershipError, PAGES_PER_LEASE,
    PINS_PER_VM, PageState, RANGES_PER_LEASE, SCRUB_STEP_PAGES, Step, Use,
};
pub use stage2::{Layout, OVERLAY_PAGES, OVERLAY_ROOTS, OVERLAY_TABLES, Overlay, OverlayMemory};
