//! System memory management units: what stands between devices and memory.

#[cfg(any(test, feature = "model"))]
pub mod model;
pub mod v2;
pub mod v3;
