//! Sizes that the image's linker script and the core must agree on. The boards' build scripts read them from here.

/// The most CPUs that a machine may have. X1E80100 has as many. Each takes 93 KiB of the image's memory, the most of
/// them for a decoy's tables (`arch/aarch64/step.rs`).
pub const MAX_CPUS: usize = 12;

/// Bytes of an EL2 stack. There is one a CPU.
pub const STACK_SIZE: usize = 16 * 1024;

/// Bytes of the guard page below each stack, which no table maps.
pub const STACK_GUARD: usize = 4096;

/// From one stack's guard page to the next one's. The linker script leaves this much a CPU at `__stacks_start`.
pub const STACK_PITCH: usize = STACK_SIZE + STACK_GUARD;

/// Bytes of the stack that the first CPU boots on, above a guard page of its own: the machine's tree and map, read and
/// joined, pass through it.
pub const BOOT_STACK_SIZE: usize = 128 * 1024;

/// The linker script of a board whose image starts at `load_address`.
#[cfg(not(target_os = "none"))]
#[must_use]
pub fn linker_script(load_address: u64) -> String {
    LINKER_SCRIPT
        .replace("@LOAD@", &format!("{load_address:#x}"))
        .replace("@STACKS@", &(MAX_CPUS * STACK_PITCH).to_string())
        .replace("@GUARD@", &STACK_GUARD.to_string())
        .replace("@BOOT_STACK@", &BOOT_STACK_SIZE.to_string())
}

/// The linker script of every board's image, with the numbers left open.
///
/// Text, constants and data start on pages of their own, as EL2's map gives each its rights. Stacks come last, each
/// above a guard page.
#[cfg(not(target_os = "none"))]
const LINKER_SCRIPT: &str = r#"
ENTRY(_start)
SECTIONS
{
    . = @LOAD@;
    __image_start = .;
    .text : {
        KEEP(*(.head))
        __scrub_start = .;
        *(.text.scrub)
        __scrub_end = .;
        *(.text .text.*)
        . = ALIGN(4096);
    }
    __text_end = .;
    .rodata : {
        *(.rodata .rodata.*)
        . = ALIGN(4096);
    }
    __rodata_end = .;
    .data : {
        *(.data .data.*)
        *(.got .got.*)
        . = ALIGN(4096);
    }
    __data_end = .;
    __bss_start = .;
    .bss (NOLOAD) : {
        *(.bss .bss.*)
        . = ALIGN(4096);
    }
    __bss_end = .;
    .stacks (NOLOAD) : {
        __stacks_start = .;
        . += @STACKS@;
        . += @GUARD@;
        __boot_stack_start = .;
        . += @BOOT_STACK@;
        __boot_stack_end = .;
    }
    . = ALIGN(4096);
    __image_end = .;
    __image_size = __image_end - __image_start;
    /DISCARD/ : { *(.eh_frame*) *(.note*) *(.comment*) }
}
"#;
