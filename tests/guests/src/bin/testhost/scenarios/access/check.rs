//! What is wrong with what came of a touch.

use super::rules::{Answer, Kind};
use super::ways::{Act, Spot};
use super::{Bench, CM, IL, S1PTW, Seen, TRANSLATION, Touch, WNR};
use leasehold_guests::arch::one::{Instruction, Registers};
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::vm::Record;
use leasehold_guests::{pattern, read_register};

impl Bench {
    /// What is wrong with the record.
    pub(super) fn wrong_record(
        &self,
        touch: &Touch<'_>,
        answer: Answer,
        seen: &Seen,
        record: &Record,
    ) -> Option<&'static str> {
        let (address, refused) = self.addresses(touch);
        let page = self.lent(touch).base();
        let ipa = if touch.walk { page } else { page + refused % PAGE };
        let pc = if touch.way.kind == Kind::Fetch {
            address
        } else {
            seen.pc
        };
        [
            (record.class != touch.class(), "the record's class"),
            (record.ipa != ipa, "the record's IPA"),
            (record.va != refused, "the record's VA"),
            (record.pc != pc, "the record's PC"),
            (record.borrower != self.id, "the record's borrower"),
            (
                record.mechanism != self.alone.recorded(answer),
                "the record's mechanism",
            ),
            (record.lost != 0, "lost records"),
        ]
        .into_iter()
        .find_map(|(wrong, what)| wrong.then_some(what))
    }

    /// What is wrong with the answer.
    pub(super) fn wrong_answer(
        &self,
        touch: &Touch<'_>,
        answer: Answer,
        seen: &Seen,
        record: &Record,
    ) -> Option<&'static str> {
        match answer {
            Answer::Code(code) => self.wrong_abort(touch, seen, touch.syndrome(record.esr) | code),
            Answer::Tagged => {
                let from_el1 = u64::from(matches!(touch.way.act, Act::El1(..)));
                let mark = record.esr | S1PTW | from_el1 << 26;
                // All of it is what EL2 was told; which must be what was done.
                let told = record.esr & (0x3f << 26 | WNR | CM | 0x3c) | from_el1 << 26;
                let done = (touch.syndrome(record.esr) | 0x04) & !IL;
                (told != done)
                    .then_some("ESR_EL2")
                    .or_else(|| self.wrong_abort(touch, seen, mark))
            }
            Answer::Taken if touch.way.kind == Kind::Translate => {
                // PAR_EL1.F, and FST in bits 6:1.
                let par = read_register!("par_el1");
                (seen.outcome.is_err() || par & 0x7f != TRANSLATION << 1 | 1).then_some("PAR_EL1")
            }
            // The table is of zeroes now, and it is stage 1 that has nothing there.
            Answer::Taken if touch.walk => self.wrong_abort(touch, seen, touch.syndrome(0) | TRANSLATION),
            Answer::Taken if touch.way.kind == Kind::Fetch => match &seen.outcome {
                Err(fault) if fault.is_undefined() && fault.vector == touch.vector() => None,
                _ => Some("zeroes are no instruction"),
            },
            Answer::Taken | Answer::Decoy => wrong_registers(touch, seen),
        }
    }

    fn wrong_abort(&self, touch: &Touch<'_>, seen: &Seen, esr: u64) -> Option<&'static str> {
        let (address, refused) = self.addresses(touch);
        let Err(fault) = &seen.outcome else {
            return Some("it went through");
        };
        let pc = if touch.way.kind == Kind::Fetch {
            address
        } else {
            seen.pc
        };
        let moved = seen.registers.is_some_and(|(before, after, _)| {
            let same = Registers {
                x: core::array::from_fn(|n| if n == 30 { after.x[30] } else { before.x[n] }),
                sp: after.sp,
                ..before
            };
            after != same
        });
        // M and the masks; the flags of EL1's are known.
        let known = match seen.registers {
            Some((before, ..)) => (before.nzcv | 0x3c0, 0xf000_03df),
            None if touch.vector() == 12 => (0x1c0, 0x1df),
            None => (0x3c0, 0x3df),
        };
        let (spsr, mask) = (known.0 | touch.mode(), known.1);
        [
            (fault.vector != touch.vector(), "vector"),
            (fault.esr != esr, "ESR_EL1"),
            (fault.far != refused, "FAR_EL1"),
            (fault.elr != pc, "ELR_EL1"),
            (fault.spsr & mask != spsr, "SPSR_EL1"),
            (fault.pstate & 0x3cd != 0x3c5, "PSTATE"),
            (moved, "registers"),
        ]
        .into_iter()
        .find_map(|(wrong, what)| wrong.then_some(what))
    }

    /// What is wrong with a page that was taken: it is zeroes, but for what a store has left.
    pub(super) fn wrong_page(&self, touch: &Touch<'_>, lent: Block) -> Option<&'static str> {
        let at = touch.way.spot.refused(lent.base()) & !7;
        let writes = !touch.walk && matches!(touch.way.kind, Kind::Store | Kind::Atomic);
        // The widest is a vector of SVE: 256 bytes.
        let written = |address: u64| writes && (at..at + 256).contains(&address);
        let dirt = (0..512).any(|n| lent.read(n * 8) != 0 && !written(lent.base() + n as u64 * 8));
        let zero = matches!(touch.way.act, Act::El1(i, _) if i == Instruction::ZERO || i == Instruction::SWAP)
            || matches!(
                touch.way.name,
                "compare, swap" | "compare, swap pair" | "store vector" | "store sve" | "EL0 dc zva"
            );
        let lost = writes && !zero && lent.read((at - lent.base()) as usize) == 0;
        dirt.then_some("not of zeroes")
            .or(lost.then_some("what was stored is not there"))
    }

    /// The pages beside it have changed by nothing but the access's own part.
    pub(super) fn wrong_beside(&self, touch: &Touch<'_>) -> Option<&'static str> {
        let base = self.page.base();
        let own = match touch.way.spot {
            _ if touch.way.kind != Kind::Store => 0..0,
            Spot::Before(bytes) => (base - bytes) & !7..base,
            Spot::In(_) => base + PAGE..base + PAGE + 16,
        };
        let kept = |address: u64| own.contains(&address);
        let wrong = [self.area.part(2, 1), self.area.part(4, 1)].iter().any(|page| {
            (0..512).any(|n| {
                let at = page.base() + n as u64 * 8;
                page.read(n * 8) != pattern::at(at) && !kept(at)
            })
        });
        wrong.then_some("the pages beside have changed")
    }
}

/// What is wrong with registers after an access that has found zeroes.
fn wrong_registers(touch: &Touch<'_>, seen: &Seen) -> Option<&'static str> {
    match (&seen.outcome, seen.registers, touch.way.act) {
        (Err(_), ..) => Some("it was refused"),
        (Ok(_), Some((_, after, mut wanted)), _) => {
            (wanted.x[30], wanted.sp) = (after.x[30], after.sp);
            (after != wanted).then_some("registers")
        }
        (Ok(found), None, Act::El0(_, Some(wanted))) => (*found != wanted).then_some("what it has found"),
        _ => None,
    }
}
