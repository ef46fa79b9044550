//! An abort that says of itself that EL2 reflected it.
//!
//! pKVM's form: ESR_EL2 as it is, instruction syndrome included, with the class turned into that of the current
//! Exception level for a fault of EL1's own, and S1PTW set, which is RES0 in ESR_EL1 for an abort of EL1's own
//! translation (`host_inject_mem_abort` of arch/arm64/kvm/hyp/nvhe/mem_protect.c; `is_pkvm_stage2_abort` of
//! arch/arm64/mm/fault.c reads the mark, and nothing of the syndrome besides).
//!
//! Compared with the source of Linux 7.3.4: class, mark, syndrome and vector are the same for every origin. One thing is
//! better here: pKVM writes FAR_EL1 for translation faults alone (`inject_host_exception` of
//! arch/arm64/kvm/hyp/nvhe/hyp-main.c).

use super::super::access::Access;
use super::super::exception::Syndrome;
use super::abort;
use crate::trap::{AbortIss, Esr};

pub(super) const NAME: &str = "tagged-abort";

/// A kernel that does not know the mark takes it for a translation fault, which it retries; one that does frees the
/// page by a call of pKVM's and then retries.
pub(super) const MAY_LOOP: bool = true;

pub(super) const fn syndrome(access: &Access) -> Syndrome {
    Syndrome {
        esr: Esr::new(access.esr.raw() | abort::from_el1(access) | AbortIss::S1PTW as u64),
        far: access.far,
        status: access.iss().fsc(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::abort::tests::{EL0, EL1H, access};
    use super::*;
    use crate::trap::FaultStatus;

    #[test]
    fn the_syndrome_stays_and_the_mark_is_set() {
        // A store of w7 from EL0, instruction syndrome valid.
        let s = syndrome(&access(0x9307_0047, EL0));
        assert_eq!((s.esr.raw(), s.far), (0x9307_00c7, 0xaaaa_0000_1234));
        assert_eq!(s.status, FaultStatus::TRANSLATION_L3);
    }

    /// What the handlers of arm64's Linux 7.x read out of ESR_EL1, with the places of the fields (Arm ARM, ESR_EL1).
    #[derive(Debug, PartialEq, Eq)]
    struct Read {
        class: u64,
        marked: bool,
        translation: bool,
        write: bool,
        /// SAS, SSE, SRT, SF and AR, where ISV says that they mean something.
        instruction: Option<(u64, u64, u64, u64, u64)>,
        il: u64,
    }

    fn read(esr: u64) -> Read {
        let bits = |high: u32, low: u32| esr >> low & ((1 << (high - low + 1)) - 1);
        let data = bits(31, 26) & 0b10_0100 == 0b10_0100;
        Read {
            class: bits(31, 26),
            marked: bits(7, 7) == 1,
            translation: bits(5, 2) == 0b0001 || bits(5, 0) == 0b10_1011,
            // Cache maintenance counts as no write there.
            write: data && bits(6, 6) == 1 && bits(8, 8) == 0,
            instruction: (data && bits(24, 24) == 1)
                .then(|| (bits(23, 22), bits(21, 21), bits(20, 16), bits(15, 15), bits(14, 14))),
            il: bits(25, 25),
        }
    }

    #[test]
    fn a_kernel_that_knows_the_mark_reads_what_happened() {
        const EL0_32: u64 = 0x10;
        const EL1T: u64 = 0x3c4;
        let plain = |class, write| Read {
            class,
            marked: true,
            translation: true,
            write,
            instruction: None,
            il: 1,
        };
        let table = [
            // A load of no describable kind, and stores: from EL0, from EL1 with either stack pointer.
            (0x9200_0007, EL0, plain(0x24, false)),
            (0x9200_0047, EL0, plain(0x24, true)),
            (0x9200_0047, EL1H, plain(0x25, true)),
            (0x9200_0046, EL1T, plain(0x25, true)),
            // Of every level of the table.
            (0x9200_0004, EL1H, plain(0x25, false)),
            (0x9200_002b, EL1H, plain(0x25, false)),
            // Its own S1PTW: a walk of stage 1.
            (0x9200_0087, EL1H, plain(0x25, false)),
            // Cache maintenance, and fetches.
            (0x9200_0147, EL1H, plain(0x25, false)),
            (0x8200_0007, EL0, plain(0x20, false)),
            (0x8200_0007, EL1H, plain(0x21, false)),
            // 64 bits from x7; 8 bits, extended with their sign, into w3, acquiring; of a 16-bit instruction.
            (
                0x93c7_8047,
                EL1H,
                Read {
                    instruction: Some((3, 0, 7, 1, 0)),
                    ..plain(0x25, true)
                },
            ),
            (
                0x9323_4007,
                EL0,
                Read {
                    instruction: Some((0, 1, 3, 0, 1)),
                    ..plain(0x24, false)
                },
            ),
            (
                0x9182_0007,
                EL0_32,
                Read {
                    instruction: Some((2, 0, 2, 0, 0)),
                    il: 0,
                    ..plain(0x24, false)
                },
            ),
            // A permission fault is told as one.
            (
                0x9200_004f,
                EL1H,
                Read {
                    translation: false,
                    ..plain(0x25, true)
                },
            ),
        ];
        for (esr, spsr, want) in table {
            let told = syndrome(&access(esr, spsr)).esr.raw();
            assert_eq!(read(told), want, "{esr:#x} {spsr:#x}");
            // Nothing else of it is changed.
            assert_eq!((told ^ esr) & !(1 << 7 | 1 << 26), 0, "{esr:#x} {spsr:#x}");
        }
    }

    #[test]
    fn from_el1_the_class_is_the_current_level_s() {
        assert_eq!(syndrome(&access(0x9307_0047, EL1H)).esr.raw(), 0x9707_00c7);
        assert_eq!(syndrome(&access(0x8200_0007, EL1H)).esr.raw(), 0x8600_0087);
        assert_eq!(syndrome(&access(0x8200_0007, EL0)).esr.raw(), 0x8200_0087);
    }
}
