//! Runs the whole system under QEMU.
