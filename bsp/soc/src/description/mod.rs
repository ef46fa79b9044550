//! A SoC as data: which block sits where, with which quirks, and by which node of a device tree that can be checked.
//!
//! A description is one readable constant, built at compile time and usable by tools on the build machine: the same value
//! gives EL2 its drivers ([`crate::qualcomm`]), the tables of `cargo xtask boards` their words, and the comparison with real
//! device trees its expectations. What a node says is in a [`Block`]; [`SocDescription::blocks`] walks over all of them.

mod block;
mod soc;
#[cfg(test)]
mod tests;

pub use block::{Block, Interrupt, Reserved, Source, Trigger, ppi, reg, reserved, spi};
pub use soc::{
    CmdDb, Cpus, Gic, Llcc, Master, Pdc, QTimer, Rsc, Scm, Serial, SerialKind, SmmuUnit, SmmuUnitKind, SocDescription,
    Timer, Tlmm, Uart, UartKind, Watchdog, WatchdogHandover, Withheld, Wrapper, count_streams, streams,
};
