//! Where things lie in the memory of QEMU's machines.

use crate::image::ImageHeader;
use leasehold_memory_map::{Address, PhysAddr, PhysRange};
use std::fmt;
use thiserror::Error;

/// Bytes in a mebibyte.
pub const MIB: u64 = 1 << 20;

/// Where the RAM of `virt` starts (QEMU, hw/arm/virt.c, VIRT_MEM).
pub(crate) const RAM: PhysAddr = PhysAddr::new(0x4000_0000);
/// How far up in RAM QEMU puts a `-kernel` image whose text offset is 0: one step of 2 MiB above its own boot code
/// (hw/arm/boot.c, load_aarch64_image).
const HYPERVISOR: u64 = 2 * MIB;
/// Text offsets below this are raised by the step (hw/arm/boot.c, BOOTLOADER_MAX_SIZE).
const BOOT_CODE: u64 = 4096;
/// What is kept for the hypervisor's image and the tables that it builds behind it.
const HYPERVISOR_MEMORY: u64 = 48 * MIB;
/// How far up the host's kernel goes when it fits below the device tree.
const KERNEL: u64 = 64 * MIB;
/// How far up QEMU puts the device tree at most (hw/arm/boot.c, arm_setup_direct_kernel_boot).
const TREE_DISTANCE: u64 = 128 * MIB;
/// The longest device tree that QEMU makes (hw/arm/boot.c, FDT_MAX_SIZE).
const TREE_MEMORY: u64 = MIB;
/// The alignment that the arm64 boot protocol asks for.
const ALIGNMENT: u64 = 2 * MIB;

/// What one of the things in memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// EL2's image and tables.
    Hypervisor,
    /// The device tree that QEMU makes.
    DeviceTree,
    /// The host's kernel.
    Kernel,
    /// The host's initrd.
    Initrd,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Item::Hypervisor => "the hypervisor",
            Item::DeviceTree => "the device tree",
            Item::Kernel => "the host's kernel",
            Item::Initrd => "the initrd",
        })
    }
}

/// Why the things do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Something ends behind the end of RAM.
    #[error("{item} ({size} bytes from {start}) does not fit in {memory} bytes of RAM: give more with --mem")]
    BeyondRam {
        /// What.
        item: Item,
        /// Where it would start.
        start: PhysAddr,
        /// Its length in bytes.
        size: u64,
        /// How much RAM there is, in bytes.
        memory: u64,
    },
    /// Two things would share memory.
    #[error("{first} and {second} overlap at {at}: give more memory with --mem")]
    Overlap {
        /// One of them.
        first: Item,
        /// The other.
        second: Item,
        /// The first address that both would have.
        at: PhysAddr,
    },
}

/// Where the hypervisor, the device tree, the host's kernel and its initrd lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    ram: PhysAddr,
    placed: Vec<(Item, PhysRange)>,
    /// Where the kernel is loaded: its text offset above the start of its memory.
    pub kernel: Option<PhysAddr>,
    /// Where the initrd is loaded.
    pub initrd: Option<PhysAddr>,
}

impl Layout {
    /// Plans for `memory` bytes of RAM of `virt`, a host kernel, and an initrd of that many bytes.
    ///
    /// # Errors
    /// When something ends behind the end of RAM, or two things overlap.
    pub fn plan(memory: u64, kernel: Option<ImageHeader>, initrd: Option<u64>) -> Result<Layout, LayoutError> {
        Layout::plan_from(RAM, memory, kernel, initrd)
    }

    /// The same for RAM that starts at `ram`.
    ///
    /// # Errors
    /// As for [`plan`](Layout::plan).
    pub fn plan_from(
        ram: PhysAddr,
        memory: u64,
        kernel: Option<ImageHeader>,
        initrd: Option<u64>,
    ) -> Result<Layout, LayoutError> {
        let up = |distance: u64| ram.checked_add(distance).unwrap_or(ram);
        let mut layout = Layout {
            ram,
            placed: Vec::new(),
            kernel: None,
            initrd: None,
        };
        layout.place(memory, Item::Hypervisor, up(HYPERVISOR), HYPERVISOR_MEMORY)?;
        let distance = TREE_DISTANCE.min(memory / 2).next_multiple_of(ALIGNMENT);
        let tree = up(distance);
        layout.place(memory, Item::DeviceTree, tree, TREE_MEMORY)?;
        // From here up, all is free.
        let mut next = aligned(layout.end());
        if let Some(header) = kernel {
            let size = header.text_offset.saturating_add(header.memory);
            let low = up(KERNEL);
            let below = low.checked_add(size).is_some_and(|end| end <= tree);
            let base = if below { low } else { next };
            layout.place(memory, Item::Kernel, base, size)?;
            layout.kernel = base.checked_add(header.text_offset);
            next = aligned(layout.end());
        }
        if let Some(size) = initrd {
            layout.place(memory, Item::Initrd, next, size)?;
            layout.initrd = Some(next);
        }
        Ok(layout)
    }

    /// Where QEMU loads a `-kernel` image of its own.
    pub fn direct(header: ImageHeader) -> PhysAddr {
        let base = if header.text_offset < BOOT_CODE {
            RAM.checked_add(HYPERVISOR).unwrap_or(RAM)
        } else {
            RAM
        };
        base.checked_add(header.text_offset).unwrap_or(base)
    }

    /// Everything, with its memory.
    pub fn placed(&self) -> &[(Item, PhysRange)] {
        &self.placed
    }

    fn place(&mut self, memory: u64, item: Item, start: PhysAddr, size: u64) -> Result<(), LayoutError> {
        let beyond = LayoutError::BeyondRam {
            item,
            start,
            size,
            memory,
        };
        let ram = PhysRange::new(self.ram, memory).map_err(|_| beyond.clone())?;
        let range = PhysRange::new(start, size.max(1)).map_err(|_| beyond.clone())?;
        if !ram.covers(&range) {
            return Err(beyond);
        }
        for (other, taken) in &self.placed {
            if let Some(both) = taken.intersection(&range) {
                return Err(LayoutError::Overlap {
                    first: *other,
                    second: item,
                    at: both.start(),
                });
            }
        }
        self.placed.push((item, range));
        Ok(())
    }

    fn end(&self) -> PhysAddr {
        self.placed
            .iter()
            .map(|(_, range)| range.end())
            .max()
            .unwrap_or(self.ram)
    }
}

/// The next boundary at or above, or where there is none (beyond any RAM) the address itself.
fn aligned(address: PhysAddr) -> PhysAddr {
    let down = address.align_down(ALIGNMENT);
    if down == address {
        address
    } else {
        down.checked_add(ALIGNMENT).unwrap_or(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1024 * MIB;

    fn kernel(memory: u64) -> Option<ImageHeader> {
        Some(ImageHeader { text_offset: 0, memory })
    }

    #[test]
    fn a_debian_kernel_fits_below_the_tree() {
        let layout = Layout::plan(GIB, kernel(50 * MIB), Some(3 * MIB)).unwrap();
        assert_eq!(layout.kernel, Some(PhysAddr::new(0x4400_0000)));
        assert_eq!(
            layout.initrd,
            Some(PhysAddr::new(0x4820_0000)),
            "the tree is at 0x4800_0000, 1 MiB long"
        );
    }

    #[test]
    fn a_kernel_that_ends_in_the_tree_goes_behind_it() {
        let fits = Layout::plan(GIB, kernel(64 * MIB), None).unwrap();
        assert_eq!(fits.kernel, Some(PhysAddr::new(0x4400_0000)));
        let layout = Layout::plan(GIB, kernel(64 * MIB + 1), Some(1)).unwrap();
        assert_eq!(layout.kernel, Some(PhysAddr::new(0x4820_0000)));
        assert_eq!(layout.initrd, Some(PhysAddr::new(0x4c40_0000)));
    }

    #[test]
    fn little_memory_draws_the_tree_down() {
        let layout = Layout::plan(128 * MIB, kernel(10 * MIB), None).unwrap();
        assert_eq!(
            layout.kernel,
            Some(PhysAddr::new(0x4420_0000)),
            "the tree is at 0x4400_0000"
        );
        let error = Layout::plan(64 * MIB, kernel(MIB), None).unwrap_err();
        let at = PhysAddr::new(0x4200_0000);
        assert_eq!(
            error,
            LayoutError::Overlap {
                first: Item::Hypervisor,
                second: Item::DeviceTree,
                at
            }
        );
    }

    #[test]
    fn a_text_offset_is_kept_free() {
        let header = ImageHeader {
            text_offset: 0x8_0000,
            memory: MIB,
        };
        let layout = Layout::plan(GIB, Some(header), None).unwrap();
        assert_eq!(layout.kernel, Some(PhysAddr::new(0x4408_0000)));
    }

    #[test]
    fn what_does_not_fit_says_what_and_how_much() {
        let error = Layout::plan(256 * MIB, kernel(30 * MIB), Some(200 * MIB)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("the initrd (209715200 bytes from 0x48200000)"),
            "{message}"
        );
        assert!(message.contains("--mem"), "{message}");
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_all_is_in_ram(
            memory in 0..8 * GIB,
            kernel in prop::option::of((0..4 * MIB, 0..3 * GIB)),
            initrd in prop::option::of(any::<u64>().prop_map(|size| size >> (size % 64))),
        ) {
            let kernel = kernel.map(|(text_offset, memory)| ImageHeader { text_offset, memory });
            let Ok(layout) = Layout::plan(memory, kernel, initrd) else { return Ok(()) };
            let ram = PhysRange::new(RAM, memory).unwrap();
            prop_assert!(layout.initrd.is_none_or(|at| at.is_aligned(ALIGNMENT)));
            for (number, (_, range)) in layout.placed().iter().enumerate() {
                prop_assert!(ram.covers(range));
                prop_assert!(layout.placed()[number + 1..].iter().all(|(_, other)| !other.overlaps(range)));
            }
        }
    }
}
