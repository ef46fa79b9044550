//! tests/guests
fn main() {}
