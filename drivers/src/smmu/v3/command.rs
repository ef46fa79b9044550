//! Commands (Arm IHI 0070, chapter 4).

use leasehold_hal::Vmid;
use leasehold_memory_map::{Address, Ipa, PAGE_SIZE, PageRange};
use tock_registers::register_bitfields;

/// The size of a command, in bytes.
pub const COMMAND_BYTES: usize = 16;

register_bitfields![u64,
    /// Bits 63:0 of any command.
    pub COMMAND0 [
        VMID OFFSET(32) NUMBITS(16) [],
        SCALE OFFSET(20) NUMBITS(5) [],
        NUM OFFSET(12) NUMBITS(5) [],
        Opcode OFFSET(0) NUMBITS(8) [
            CFGI_STE_RANGE = 0x04,
            TLBI_EL2_ALL = 0x20,
            TLBI_S12_VMALL = 0x28,
            TLBI_S2_IPA = 0x2a,
            TLBI_NSNH_ALL = 0x30,
            SYNC = 0x46
        ]
    ],
    /// Bits 127:64 of CMD_CFGI_STE_RANGE.
    pub CFGI1 [
        Range OFFSET(0) NUMBITS(5) [
            All = 31
        ]
    ],
    /// Bits 127:64 of CMD_TLBI_S2_IPA. Address is bits 51:12 in place. Leaf is never set: memory of the tables on the way
    /// goes too.
    pub TLBI1 [
        TG OFFSET(10) NUMBITS(2) [
            Granule4K = 0b01
        ]
    ],
];

/// A command as it stands in the queue.
pub type Command = [u64; COMMAND_BYTES / 8];

/// CMD_CFGI_ALL (4.3.6): everything remembered of stream tables.
pub fn cfgi_all() -> Command {
    [COMMAND0::Opcode::CFGI_STE_RANGE.value, CFGI1::Range::All.value]
}

/// CMD_TLBI_EL2_ALL (4.4.2.7): stage 1 of EL2, which somebody before may have used.
pub fn tlbi_el2_all() -> Command {
    [COMMAND0::Opcode::TLBI_EL2_ALL.value, 0]
}

/// CMD_TLBI_NSNH_ALL (4.4.4): everything of every VM.
pub fn tlbi_nsnh_all() -> Command {
    [COMMAND0::Opcode::TLBI_NSNH_ALL.value, 0]
}

/// CMD_TLBI_S12_VMALL (4.4.3): everything of one VM.
pub fn tlbi_s12_vmall(vmid: Vmid) -> Command {
    let vmid = COMMAND0::VMID.val(u64::from(vmid.get()));
    [(COMMAND0::Opcode::TLBI_S12_VMALL + vmid).value, 0]
}

/// CMD_SYNC (4.7.3), without a signal: consumed when all before it is done.
pub fn sync() -> Command {
    [COMMAND0::Opcode::SYNC.value, 0]
}

/// CMD_TLBI_S2_IPA (4.4.3) for one page.
pub fn tlbi_page(vmid: Vmid, page: Ipa) -> Command {
    let vmid = COMMAND0::VMID.val(u64::from(vmid.get()));
    [(COMMAND0::Opcode::TLBI_S2_IPA + vmid).value, page.get()]
}

/// CMD_TLBI_S2_IPA for `num` times 2^`scale` pages (4.4.1.1), more than one.
fn tlbi_pages(vmid: Vmid, start: Ipa, num: u64, scale: u32) -> Command {
    let fields = COMMAND0::Opcode::TLBI_S2_IPA
        + COMMAND0::VMID.val(u64::from(vmid.get()))
        + COMMAND0::NUM.val(num - 1)
        + COMMAND0::SCALE.val(u64::from(scale));
    [fields.value, start.get() | TLBI1::TG::Granule4K.value]
}

/// With commands for single pages only: up to how many pages of a range are worth it. Beyond, all of the VM goes, and is
/// walked for again.
const SINGLES: u64 = 64;
/// With commands for ranges: up to how many pages they can say (SCALE is used up to 31).
const RANGES: u64 = 1 << 31;

/// The commands that make it forget `range` of a VM: few, whatever the range.
pub struct Invalidation {
    vmid: Vmid,
    next: Option<Ipa>,
    pages: u64,
    ranges: bool,
}

impl Invalidation {
    /// Of `range`, with commands for ranges if the hardware has them.
    pub fn new(vmid: Vmid, range: PageRange<Ipa>, ranges: bool) -> Self {
        Self {
            vmid,
            next: Some(range.start()),
            pages: range.count(),
            ranges,
        }
    }

    /// Goes on by `pages`, which are no more than there are.
    fn step(&mut self, start: Ipa, pages: u64) {
        self.pages -= pages;
        self.next = start.checked_add(pages * PAGE_SIZE);
    }
}

impl Iterator for Invalidation {
    type Item = Command;

    fn next(&mut self) -> Option<Command> {
        let start = self.next?;
        let limit = if self.ranges { RANGES } else { SINGLES };
        if self.pages == 0 {
            return None;
        }
        if self.pages > limit {
            self.pages = 0;
            return Some(tlbi_s12_vmall(self.vmid));
        }
        if !self.ranges {
            self.step(start, 1);
            return Some(tlbi_page(self.vmid, start));
        }
        // Five bits of the page count, from the lowest that is set.
        let scale = self.pages.trailing_zeros();
        let num = self.pages >> scale & 0x1f;
        self.step(start, num << scale);
        // One page as a range is a reserved encoding (4.4.1.1).
        Some(if num << scale == 1 {
            tlbi_page(self.vmid, start)
        } else {
            tlbi_pages(self.vmid, start, num, scale)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The pages that a command names, decoded by hand from 4.4.1.1 and 4.4.3.
    fn named([low, high]: Command) -> (u64, u64) {
        assert_eq!(low & 0xff, 0x2a);
        assert_eq!(low >> 32, 0x2a, "the VMID");
        assert_eq!(high & 1, 0, "Leaf");
        let address = high & 0x000f_ffff_ffff_f000;
        match high >> 10 & 3 {
            0 => {
                assert_eq!(low & 0xffff_ff00, 0);
                (address, 1)
            }
            granule => {
                assert_eq!(granule, 1);
                let (num, scale) = (low >> 12 & 0x1f, low >> 20 & 0x1f);
                assert_ne!((num, scale), (0, 0), "reserved: CERROR_ILL");
                (address, (num + 1) << scale)
            }
        }
    }

    fn commands(start: u64, pages: u64, ranges: bool) -> Vec<Command> {
        let range = PageRange::new(Ipa::new(start * PAGE_SIZE), pages).unwrap();
        Invalidation::new(Vmid::new(0x2a), range, ranges).collect()
    }

    proptest! {
        #[test]
        fn the_commands_name_the_range_and_nothing_else(
            start in 0u64..1 << 28,
            pages in prop_oneof![1u64..200, 1u64..1 << 28],
            ranges in any::<bool>(),
        ) {
            let commands = commands(start, pages, ranges);
            let most = if ranges { 6 } else { 64 };
            prop_assert!(commands.len() <= most);
            if !ranges && pages > 64 {
                prop_assert_eq!(commands, [[0x2a_0000_0028, 0]]);
            } else {
                let mut next = start;
                for command in commands {
                    let (address, count) = named(command);
                    prop_assert_eq!(address, next * PAGE_SIZE);
                    next += count;
                }
                prop_assert_eq!(next, start + pages);
            }
        }
    }

    #[test]
    fn a_range_beyond_what_commands_can_say_takes_the_whole_vm() {
        assert_eq!(commands(0, 1 << 31, true), [[0x2a_01f0_002a, 0x400]]);
        assert_eq!(commands(0, (1 << 31) + 1, true), [[0x2a_0000_0028, 0]]);
    }
}
