//! Makes the linker script from the board's constants and the core's.

use std::path::PathBuf;

#[path = "src/layout.rs"]
mod layout;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let script = leasehold_hyp_core::layout::linker_script(layout::LOAD_ADDRESS);
    std::fs::write(out.join("leasehold.ld"), script).expect("the script is written");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo::rustc-link-arg-bins=-T{}", out.join("leasehold.ld").display());
        println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/layout.rs");
}
