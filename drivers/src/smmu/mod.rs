//! System memory management units: what stands between devices and memory.

#[cfg(any(test, feature = "model"))]
pub mod model;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub mod v2;
pub mod v3;
