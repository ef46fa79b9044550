//! An abort that says of itself that EL2 reflected it.
//!
//! pKVM's form: ESR_EL2 as it is, instruction syndrome included, with the class turned into that of the current
//! Exception level for a fault of EL1's own, and S1PTW set, which is RES0 in ESR_EL1 for an abort of EL1's own
//! translation (`host_inject_mem_abort` of arch/arm64/kvm/hyp/nvhe/mem_protect.c; `is_pkvm_stage2_abort` of
//! arch/arm64/mm/fault.c reads the mark).

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

    #[test]
    fn from_el1_the_class_is_the_current_level_s() {
        assert_eq!(syndrome(&access(0x9307_0047, EL1H)).esr.raw(), 0x9707_00c7);
        assert_eq!(syndrome(&access(0x8200_0007, EL1H)).esr.raw(), 0x8600_0087);
        assert_eq!(syndrome(&access(0x8200_0007, EL0)).esr.raw(), 0x8200_0087);
    }
}
