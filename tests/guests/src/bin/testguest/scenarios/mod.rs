//! What guests try.

pub mod calls;
pub mod ffa;
pub mod fp;
pub mod illegal;
pub mod sysregs;
