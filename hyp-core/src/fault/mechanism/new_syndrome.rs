//! An abort with bits that no architecture has yet: how a kernel would be told that stage 2 has refused it, if there were a
//! word for it. A board says which bits, so that a proposal can be tried on a kernel that is built for it.

use super::super::access::Access;
use super::super::exception::Syndrome;
use super::abort;
use crate::trap::{AbortIss, Esr};

/// The bits that a board may choose: ISS2 and DFSC. The rest says what the access was.
const CHOSEN: u64 = 0xff_ffff << 32 | AbortIss::FSC as u64;

/// As an abort with the fault status code in `chosen`, and its ISS2.
pub(super) const fn syndrome(chosen: u64, access: &Access) -> Syndrome {
    let status = AbortIss::new((chosen & AbortIss::FSC as u64) as u32).fsc();
    let plain = abort::syndrome(status, access);
    Syndrome {
        esr: Esr::new(plain.esr.raw() | chosen & CHOSEN),
        ..plain
    }
}

#[cfg(test)]
mod tests {
    use super::super::abort::tests::{EL0, EL1H, access};
    use super::*;

    #[test]
    fn the_board_chooses_the_status_and_iss2_and_nothing_else() {
        // A store, refused at level 3.
        let store = 0x9307_0047;
        let chosen = 0x0080_0000_0000_0000 | 0x32;
        assert_eq!(syndrome(chosen, &access(store, EL0)).esr.raw(), 0x0080_0000_9200_0072);
        assert_eq!(syndrome(chosen, &access(store, EL1H)).esr.raw(), 0x0080_0000_9600_0072);
        assert_eq!(syndrome(!0, &access(store, EL0)).esr.raw(), 0x00ff_ffff_9200_007f);
    }
}
