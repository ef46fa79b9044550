//! System memory management units: what stands between devices and memory.

pub mod v3;
