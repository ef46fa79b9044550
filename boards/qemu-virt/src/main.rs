//! boards/qemu-virt
fn main() {}
