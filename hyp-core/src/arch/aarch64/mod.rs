//! AArch64 at EL2.

pub mod barrier;
mod boot;
mod calls;
mod crash;
mod entry;
mod features;
mod fp;
mod guest;
mod host;
mod idregs;
mod log;
mod memory;
mod percpu;
mod platform;
mod stage1;
mod step;
mod sysreg;
mod timer;
mod vectors;

pub(crate) use boot::make_tables;
pub use calls::{firmware, park};
pub use crash::{CrashState, capture, frame_pointer};
pub(crate) use entry::{hand_over, refuse, secondary_entry, vhe_only};
pub use guest::{Exit, GuestContext, Run};
pub use host::{
    AbortRegisters, Stage2Registers, abort_registers, deliver, extras, far_el1, init_cpu, origin, set_return,
    stage1_maps, start_host, task, trace, walk_stage1,
};
pub use idregs::IdRegisters;
pub use log::drain_rings;
pub use memory::{Cpu, clean};
pub(crate) use percpu::install;
pub use percpu::{PerCpu, affinity};
pub use platform::BootCpu;
pub use step::{Stepped, begin_overlay, end_overlay, forget_step, overlay_memory, revoke_overlays, step};
pub use timer::{counter, counter_frequency};
pub use vectors::{AbortFrame, Return, TrapFrame};
