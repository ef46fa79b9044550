//! Writes the linker script, and has each program linked so that it runs wherever it is loaded.

use std::path::PathBuf;
use std::{env, fs};

/// Linked at 0, and moved by the start code: all that is absolute is a relative relocation in `.rela.dyn`.
const SCRIPT: &str = r#"
ENTRY(_start)
SECTIONS
{
    . = 0;
    .text : { KEEP(*(.head)) *(.text .text.*) }
    .rodata : ALIGN(16) { *(.rodata .rodata.*) }
    .rela.dyn : ALIGN(8) { PROVIDE_HIDDEN(__rela_start = .); *(.rela.dyn .rela.*) PROVIDE_HIDDEN(__rela_end = .); }
    .dynamic : { *(.dynamic) }
    .data : ALIGN(16) { *(.data .data.*) *(.got .got.*) . = ALIGN(16); }
    .bss (NOLOAD) : ALIGN(4096) {
        PROVIDE_HIDDEN(__bss_start = .);
        *(.bss .bss.*) *(COMMON)
        . = ALIGN(16);
        PROVIDE_HIDDEN(__bss_end = .);
        . += 0x4000;
        PROVIDE_HIDDEN(__stack_end = .);
        PROVIDE_HIDDEN(__image_end = .);
    }
    __image_size = ABSOLUTE(__image_end - _start);
    /DISCARD/ : {
        *(.eh_frame .eh_frame_hdr) *(.comment) *(.note .note.*)
        *(.interp) *(.dynsym) *(.dynstr) *(.hash) *(.gnu.hash)
    }
}
"#;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let script = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("example.ld");
    fs::write(&script, SCRIPT).expect("OUT_DIR can be written");
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    for arg in ["-pie", "--no-dynamic-linker", "-znotext", "-Bsymbolic", "-znorelro"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
}
