//! The descriptors of FF-A memory management, laid out by hand.
//!
//! Arm DEN0140 (the memory management protocol of FF-A 1.2), Tables 1.16 to 1.20 and 2.x; up to FF-A 1.1 the same stood
//! in DEN0077A chapter 10. All is little-endian. With 1.2 the descriptor of one endpoint's access has grown from 16 to
//! 32 bytes.

/// Bytes of a memory transaction descriptor without what follows it.
pub const TRANSACTION_BYTES: usize = 48;
/// Bytes of an endpoint memory access descriptor.
pub const ACCESS_BYTES: usize = 32;
/// Bytes of a composite memory region descriptor without its ranges.
pub const COMPOSITE_BYTES: usize = 16;
/// Bytes of one range, a constituent memory region descriptor.
pub const RANGE_BYTES: usize = 16;

/// Where things stand in a descriptor that [`Lend::encode`] writes.
pub mod offset {
    use super::{ACCESS_BYTES, COMPOSITE_BYTES, TRANSACTION_BYTES};

    /// Sender, 16 bits.
    pub const SENDER: usize = 0;
    /// Memory region attributes, 16 bits.
    pub const ATTRIBUTES: usize = 2;
    /// Flags, 32 bits.
    pub const FLAGS: usize = 4;
    /// Handle, 64 bits: zero in a lend.
    pub const HANDLE: usize = 8;
    /// Tag, 64 bits.
    pub const TAG: usize = 16;
    /// Size of an access descriptor, 32 bits.
    pub const ACCESS_SIZE: usize = 24;
    /// Number of access descriptors, 32 bits.
    pub const ACCESS_COUNT: usize = 28;
    /// Offset of the first access descriptor, 32 bits.
    pub const ACCESS_OFFSET: usize = 32;
    /// Reserved, 12 bytes of zero.
    pub const RESERVED: usize = 36;
    /// Receiver, 16 bits, in the access descriptor.
    pub const RECEIVER: usize = TRANSACTION_BYTES;
    /// Permissions, 8 bits.
    pub const PERMISSIONS: usize = TRANSACTION_BYTES + 2;
    /// Offset of the composite descriptor, 32 bits.
    pub const COMPOSITE_OFFSET: usize = TRANSACTION_BYTES + 4;
    /// The composite descriptor: the sum of all pages, 32 bits.
    pub const TOTAL_PAGES: usize = TRANSACTION_BYTES + ACCESS_BYTES;
    /// Number of ranges, 32 bits.
    pub const RANGE_COUNT: usize = TOTAL_PAGES + 4;
    /// The first range: address, 64 bits, number of pages, 32 bits, zero, 32 bits.
    pub const RANGES: usize = TOTAL_PAGES + COMPOSITE_BYTES;
}

/// Data access of an endpoint: read and write (bits 1:0). A lender leaves instruction access (bits 3:2) at 0, not
/// specified: the one borrower says what it needs.
pub const READ_WRITE: u8 = 0b10;
/// Retrieve: the transaction is a lend (bits 4:3 of the flags).
pub const FLAG_IS_LEND: u32 = 0b10 << 3;

/// What `FFA_MEM_LEND` takes, for one borrower.
#[derive(Clone, Copy, Debug)]
pub struct Lend<'a> {
    /// The owner's endpoint id.
    pub sender: u16,
    /// The borrower's endpoint id.
    pub receiver: u16,
    /// Memory region attributes. With one borrower they are not specified, which is 0.
    pub attributes: u16,
    /// Flags.
    pub flags: u32,
    /// A number of the caller's, which the borrower must know.
    pub tag: u64,
    /// Permissions.
    pub permissions: u8,
    /// Address and number of pages of each range.
    pub ranges: &'a [(u64, u32)],
}

impl Lend<'_> {
    /// Writes the descriptor by way of `put` (offset, bytes), and gives its length.
    pub fn encode(&self, mut put: impl FnMut(usize, &[u8])) -> usize {
        transaction(&mut put, self.sender, self.attributes, self.flags, 0, self.tag);
        access(&mut put, self.receiver, self.permissions, offset::TOTAL_PAGES as u32);
        let pages = self.ranges.iter().fold(0u32, |sum, r| sum.wrapping_add(r.1));
        put(offset::TOTAL_PAGES, &pages.to_le_bytes());
        put(offset::RANGE_COUNT, &(self.ranges.len() as u32).to_le_bytes());
        put(offset::RANGE_COUNT + 4, &[0; 8]);
        let mut at = offset::RANGES;
        for (address, pages) in self.ranges {
            put(at, &address.to_le_bytes());
            put(at + 8, &pages.to_le_bytes());
            put(at + 12, &[0; 4]);
            at += RANGE_BYTES;
        }
        at
    }
}

/// What `FFA_MEM_RETRIEVE_REQ` takes, from the one borrower of a lend, who leaves it to the hypervisor where the memory
/// is to be. Gives its length.
pub fn retrieve(mut put: impl FnMut(usize, &[u8]), owner: u16, borrower: u16, handle: u64, tag: u64) -> usize {
    transaction(&mut put, owner, 0, FLAG_IS_LEND, handle, tag);
    access(&mut put, borrower, READ_WRITE, 0);
    TRANSACTION_BYTES + ACCESS_BYTES
}

/// What `FFA_MEM_RELINQUISH` takes. Gives its length.
pub fn relinquish(mut put: impl FnMut(usize, &[u8]), handle: u64, borrower: u16) -> usize {
    put(0, &handle.to_le_bytes());
    put(8, &0u32.to_le_bytes());
    put(12, &1u32.to_le_bytes());
    put(16, &borrower.to_le_bytes());
    put(18, &[0; 6]);
    24
}

fn transaction(put: &mut impl FnMut(usize, &[u8]), sender: u16, attributes: u16, flags: u32, handle: u64, tag: u64) {
    put(offset::SENDER, &sender.to_le_bytes());
    put(offset::ATTRIBUTES, &attributes.to_le_bytes());
    put(offset::FLAGS, &flags.to_le_bytes());
    put(offset::HANDLE, &handle.to_le_bytes());
    put(offset::TAG, &tag.to_le_bytes());
    put(offset::ACCESS_SIZE, &(ACCESS_BYTES as u32).to_le_bytes());
    put(offset::ACCESS_COUNT, &1u32.to_le_bytes());
    put(offset::ACCESS_OFFSET, &(TRANSACTION_BYTES as u32).to_le_bytes());
    put(offset::RESERVED, &[0; 12]);
}

fn access(put: &mut impl FnMut(usize, &[u8]), endpoint: u16, permissions: u8, composite: u32) {
    put(offset::RECEIVER, &endpoint.to_le_bytes());
    put(offset::PERMISSIONS, &[permissions, 0]);
    put(offset::COMPOSITE_OFFSET, &composite.to_le_bytes());
    put(offset::COMPOSITE_OFFSET + 4, &[0; 24]);
}

/// The address of the first range in a retrieve response, by way of `word` (offset of four bytes).
pub fn first_range(word: impl Fn(usize) -> u32) -> Option<(u64, u32)> {
    let access = word(offset::ACCESS_OFFSET) as usize;
    let composite = word(access.checked_add(4)?) as usize;
    if composite == 0 || word(composite + 4) == 0 {
        return None;
    }
    let range = composite + COMPOSITE_BYTES;
    let address = u64::from(word(range)) | u64::from(word(range + 4)) << 32;
    Some((address, word(range + 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a lend of two ranges, written down from the tables.
    #[test]
    fn a_lend_is_what_the_tables_say() {
        let mut bytes = [0xaau8; 256];
        let lend = Lend {
            sender: 0x0102,
            receiver: 0x0304,
            attributes: 0x2f,
            flags: 1,
            tag: 0x1122_3344_5566_7788,
            permissions: READ_WRITE,
            ranges: &[(0x4567_8000, 3), (0x1_0000_0000, 0x200)],
        };
        let len = lend.encode(|at, b| bytes[at..at + b.len()].copy_from_slice(b));
        #[rustfmt::skip]
        let wanted: [u8; 128] = [
            0x02, 0x01, 0x2f, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 32, 0, 0, 0, 1, 0, 0, 0,
            48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x04, 0x03, 0b10, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0x03, 0x02, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0x80, 0x67, 0x45, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(len, 128);
        assert_eq!(bytes[..128], wanted);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(first_range(word), Some((0x4567_8000, 3)));
    }

    #[test]
    fn a_relinquish_is_what_the_tables_say() {
        let mut bytes = [0xaau8; 32];
        let len = relinquish(|at, b| bytes[at..at + b.len()].copy_from_slice(b), 0x99, 2);
        assert_eq!(
            bytes[..len],
            [
                0x99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0
            ]
        );
    }
}
