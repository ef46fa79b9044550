//! The scenarios.
fn main() {}
