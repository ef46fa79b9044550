//! ESR_EL2, HPFAR_EL2 and what they say about a trap.
//!
//! Plain decoding: a register's value in, typed fields out. Fields carry the names of the Arm ARM (DDI 0487, issue
//! L.a), where each is found under the register's name and, for ESR_EL2, the title "ISS encoding for ...".

mod abort;
mod esr;
mod sysreg;

pub use abort::{AbortIss, FaultKind, FaultStatus, Hpfar};
pub use esr::{Esr, Trap, WaitKind, WfxIss};
pub use sysreg::{SysReg, SysRegIss};
