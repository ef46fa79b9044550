//! Where the image is linked. The build script makes the linker script from it.

/// The image's first byte. QEMU loads an arm64 `Image` with a text offset of 0 at 2 MiB into RAM, which starts at 1 GiB
/// (`hw/arm/boot.c`, `hw/arm/virt.c`). Below 4 GiB less 64 KiB, as defmt's symbols must be within reach of `adrp`.
pub const LOAD_ADDRESS: u64 = 0x4020_0000;
