//! Which accesses can be served on other memory, by stepping the instruction that makes them, and what the state before
//! and after the step is.

use super::access::Access;
use super::exception::Mode;

/// SPSR_ELx.SS.
const SS: u64 = 1 << 21;
/// SPSR_ELx.A, I and F.
const AIF: u64 = 0b111 << 6;
/// SPSR_ELx.D of AArch64 state.
const D: u64 = 1 << 9;
/// SPSR_ELx.ALLINT of AArch64 state (FEAT_NMI).
const ALLINT: u64 = 1 << 13;

/// Whether what is known of an access without its instruction lets it be served: a fetch has no decoy that would make
/// sense, and a walk that finds zeroes would be a fault of the host's own making.
#[must_use]
pub fn serves(access: &Access) -> bool {
    !access.fetch && !access.iss().s1ptw()
}

/// Whether the instruction has to be looked at. A valid syndrome never is an exclusive's (Arm ARM, ESR_EL2, ISV).
#[must_use]
pub fn needs_instruction(access: &Access) -> bool {
    !access.iss().isv()
}

/// Whether an AArch64 instruction is one of a pair of exclusives, which an exception between them breaks (Arm ARM C4.1,
/// "Load/store exclusive register", "pair" and "unprivileged"; a compare and swap of a pair is encoded among them).
#[must_use]
pub const fn is_exclusive(instruction: u32) -> bool {
    let in_group = instruction & 0x3f80_0000 == 0x0800_0000;
    let swaps_pair = instruction >> 31 == 0 && instruction & 1 << 21 != 0;
    let unprivileged = instruction & 0x3fa0_0000 == 0x0900_0000;
    in_group && !swaps_pair || unprivileged
}

/// The bits of SPSR_EL2 that a step changes in the state that the host is in.
const fn changed(spsr: u64) -> u64 {
    match Mode::of(spsr) {
        Mode::El0Aarch32 => AIF,
        _ => AIF | D | ALLINT,
    }
}

/// The state in which one instruction is executed: no interrupt comes first.
#[must_use]
pub const fn stepping(spsr: u64, has_nmi: bool) -> u64 {
    let mask = if has_nmi {
        changed(spsr)
    } else {
        changed(spsr) & !ALLINT
    };
    spsr | mask | SS
}

/// How a step has ended, by where it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The instruction is executed, or as much of it as one step does. This is the state to go on in.
    Executed(u64),
    /// It has ended in an exception to EL1, whose handler is due.
    TakenToEl1,
}

/// Reads the end of a step. `before` and `after` are the addresses and states: PC and SPSR.
///
/// The bit SS that it leaves is clear: to a host that steps this instruction itself, its own step is then over and
/// pending, as it should be.
#[must_use]
pub fn ended(before: (u64, u64), after: (u64, u64)) -> Ended {
    let (pc, spsr) = before;
    let from_el0 = Mode::of(spsr).is_el0();
    let stayed = if from_el0 {
        Mode::of(after.1).is_el0()
    } else {
        after.0.wrapping_sub(pc) <= 4
    };
    if stayed {
        let mask = changed(spsr);
        Ended::Executed(after.1 & !mask | spsr & mask)
    } else {
        Ended::TakenToEl1
    }
}

/// SPSR_EL1 as it would be if the exception had been taken without a step. `before` is the state of the instruction.
#[must_use]
pub const fn without_step(before: u64, spsr_el1: u64) -> u64 {
    let mask = changed(before) | SS;
    spsr_el1 & !mask | before & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trap::{Esr, Hpfar};

    /// Encodings as an assembler makes them.
    #[test]
    fn exclusives_are_told_from_what_looks_like_them() {
        let exclusive = [
            0xc85f_7c20, // ldxr x0, [x1]
            0x885f_fc20, // ldaxr w0, [x1]
            0x0800_7c20, // stxrb w0, w0, [x1]
            0xc802_fc20, // stlxr w2, x0, [x1]
            0xc87f_0420, // ldxp x0, x1, [x1]
            0xc822_0420, // stxp w2, x0, x1, [x1]
        ];
        assert!(exclusive.into_iter().all(is_exclusive));
        let other = [
            0xc8df_fc20, // ldar x0, [x1]
            0xc89f_fc20, // stlr x0, [x1]
            0xc8a0_7c41, // cas x0, x1, [x2]
            0x4820_7c82, // casp x0, x1, x2, x3, [x4]
            0x0820_7c82, // casp w0, w1, w2, w3, [x4]
            0xf820_0041, // ldadd x0, x1, [x2]
            0xa940_0420, // ldp x0, x1, [x1]
            0xf840_8420, // ldr x0, [x1], #8
            0xd50b_7420, // dc zva, x0
            0x3dc0_0020, // ldr q0, [x1]
            0x1901_0440, // cpyfp [x0]!, [x1]!, x2!
            0x8540_4000, // ldr z0, [x0]
        ];
        assert!(!other.into_iter().any(is_exclusive));
    }

    #[test]
    fn fetches_and_walks_are_not_served() {
        let access = |esr| Access::decode(Esr::new(esr), 0x1000, Hpfar::new(0x48_0000), 0x3c5).unwrap();
        assert!(serves(&access(0x9307_0047)) && !needs_instruction(&access(0x9307_0047)));
        assert!(serves(&access(0x9200_0047)) && needs_instruction(&access(0x9200_0047)));
        assert!(!serves(&access(0x9200_0087)));
        assert!(!serves(&access(0x8200_0007)));
    }

    #[test]
    fn a_step_leaves_the_host_s_masks() {
        for spsr in [0x6000_0005, 0x3c5, 0x8000_0245, 0x0, 0x3c4, 0x6020_0005] {
            let step = stepping(spsr, false);
            assert_eq!(step & 0x3c0, 0x3c0);
            assert_ne!(step & SS, 0);
            assert_eq!(ended((0x1000, spsr), (0x1004, step & !SS)), Ended::Executed(spsr & !SS));
            // A copy that has not come to its end, and flags that have changed.
            let flags = step & !SS ^ 0xf000_0000;
            assert_eq!(
                ended((0x1000, spsr), (0x1000, flags)),
                Ended::Executed((spsr & !SS) ^ 0xf000_0000)
            );
            assert_eq!(without_step(spsr, step), spsr);
        }
        assert_eq!(stepping(0x5, true) & ALLINT, ALLINT);
    }

    #[test]
    fn an_exception_to_el1_is_not_taken_for_the_end() {
        assert_eq!(ended((0x1000, 0x5), (0x8200, 0x3c5)), Ended::TakenToEl1);
        assert_eq!(ended((0x1000, 0x0), (0x1004, 0x3c5)), Ended::TakenToEl1);
        // A load of AArch32 state may branch.
        assert_eq!(ended((0x1000, 0x10), (0x9000, 0x1d0)), Ended::Executed(0x10));
    }

    #[test]
    fn aarch32_has_its_own_bits() {
        // Bit 9 is the endianness there.
        assert_eq!(stepping(0x210, true), 0x210 | AIF | SS);
        assert_eq!(stepping(0x10, true), 0x10 | AIF | SS);
    }
}
