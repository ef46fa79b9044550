//! Event records (Arm IHI 0070, 7.3).

use leasehold_hal::{IommuEvent, IommuEventKind};
use tock_registers::register_bitfields;

/// The size of a record, in bytes.
pub const EVENT_BYTES: usize = 32;

register_bitfields![u64,
    /// Bits 63:0 of any record.
    pub EVENT0 [
        StreamID OFFSET(32) NUMBITS(32) [],
        Number OFFSET(0) NUMBITS(8) [
            F_UUT = 0x01,
            C_BAD_STREAMID = 0x02,
            F_STE_FETCH = 0x03,
            C_BAD_STE = 0x04,
            F_BAD_ATS_TREQ = 0x05,
            F_STREAM_DISABLED = 0x06,
            F_TRANSL_FORBIDDEN = 0x07,
            C_BAD_SUBSTREAMID = 0x08,
            F_WALK_EABT = 0x0b,
            F_TRANSLATION = 0x10,
            F_ADDR_SIZE = 0x11,
            F_ACCESS = 0x12,
            F_PERMISSION = 0x13,
            F_TLB_CONFLICT = 0x20
        ]
    ],
    /// Bits 127:64 of those records that tell of a transaction.
    pub EVENT1 [
        RnW OFFSET(35) NUMBITS(1) []
    ],
];

/// A record as it stands in the queue.
pub type Record = [u64; EVENT_BYTES / 8];

/// What a record says. Any 32 bytes are a record: numbers that are not known are told as such.
pub fn decode([low, high, address, _]: Record) -> IommuEvent {
    use EVENT0::Number::Value as Number;
    let number = EVENT0::Number.read(low) as u8;
    let known = EVENT0::Number.read_as_enum::<Number>(low);
    let kind = match known {
        Some(Number::F_TRANSLATION) => IommuEventKind::Translation,
        Some(Number::F_PERMISSION) => IommuEventKind::Permission,
        Some(Number::F_ADDR_SIZE) => IommuEventKind::AddressSize,
        Some(
            Number::C_BAD_STREAMID
            | Number::F_STE_FETCH
            | Number::C_BAD_STE
            | Number::F_BAD_ATS_TREQ
            | Number::F_STREAM_DISABLED
            | Number::F_TRANSL_FORBIDDEN
            | Number::C_BAD_SUBSTREAMID,
        ) => IommuEventKind::Stream,
        Some(Number::F_UUT | Number::F_WALK_EABT | Number::F_ACCESS | Number::F_TLB_CONFLICT) | None => {
            IommuEventKind::Other(number)
        }
    };
    // Records with InputAddr in bits 191:128 and RnW in bit 99. F_BAD_ATS_TREQ and F_TRANSL_FORBIDDEN have an address
    // too; the former is a request to translate, neither read nor write.
    let has_address = matches!(
        known,
        Some(
            Number::F_UUT
                | Number::F_BAD_ATS_TREQ
                | Number::F_TRANSL_FORBIDDEN
                | Number::F_WALK_EABT
                | Number::F_TRANSLATION
                | Number::F_ADDR_SIZE
                | Number::F_ACCESS
                | Number::F_PERMISSION
                | Number::F_TLB_CONFLICT
        )
    );
    let has_direction = has_address && !matches!(known, Some(Number::F_BAD_ATS_TREQ));
    IommuEvent {
        kind,
        stream: Some(EVENT0::StreamID.read(low) as u32),
        address: has_address.then_some(address),
        write: has_direction.then_some(!EVENT1::RnW.is_set(high)),
    }
}

/// That events were lost.
pub const LOST: IommuEvent = IommuEvent {
    kind: IommuEventKind::Lost,
    stream: None,
    address: None,
    write: None,
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_qemu_writes_is_understood() {
        // A read and a write of an unmapped IPA by 00:01.0.
        let read = decode([0x8_0000_0010, 0x288_0000_0000, 0x100_0010, 0x100_0000]);
        let expected = IommuEvent {
            kind: IommuEventKind::Translation,
            stream: Some(8),
            address: Some(0x100_0010),
            write: Some(false),
        };
        assert_eq!(read, expected);
        let write = decode([0x8_0000_0010, 0x280_0000_0000, 0x100_0010, 0x100_0000]);
        assert_eq!(write.write, Some(true));
        let bad = decode([0x28_0000_0004, 0, 0, 0]);
        assert_eq!(
            (bad.kind, bad.stream, bad.address),
            (IommuEventKind::Stream, Some(0x28), None)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event(record: Record) {
            let event = decode(record);
            if let IommuEventKind::Other(number) = event.kind {
                prop_assert_eq!(u64::from(number), record[0] & 0xff);
            }
            prop_assert_eq!(event.stream, Some((record[0] >> 32) as u32));
        }
    }
}
