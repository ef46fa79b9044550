//! linux/leasectl
fn main() {}
