//! Every way to touch lent memory, from every place, by a policy that has one mechanism alone (`mechanism=`): is it
//! answered as a small table of rules has it?
//!
//! Each touch is of a page that has been lent for it, and that comes back after it. It has to leave one record.

mod check;
mod rules;
mod ways;

use leasehold_abi::vendor;
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::el0::Program;
use leasehold_guests::arch::fp;
use leasehold_guests::arch::mmu::{self, Access};
use leasehold_guests::arch::one::{self, Registers};
use leasehold_guests::arch::probe::Fault;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE};
use leasehold_guests::{args, ffa, pattern, read_register, vm};
use rules::{Alone, Answer, Kind};
use ways::{Act, Needs, Spot, Way};

/// ESR_ELx.EC of a data abort and of an instruction abort from a lower Exception level; with one more, from the same.
const DATA: u64 = 0x24;
const FETCH: u64 = 0x20;
/// ESR_ELx.IL: a 32-bit instruction; of an abort without instruction syndrome in any case.
const IL: u64 = 1 << 25;
/// ESR_ELx.CM, S1PTW and WnR.
const CM: u64 = 1 << 8;
const S1PTW: u64 = 1 << 7;
const WNR: u64 = 1 << 6;
/// A synchronous External abort.
const EXTERNAL: u64 = 0x10;
/// A translation fault at level 3.
const TRANSLATION: u64 = 0x07;

/// By which addresses the lent page is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// Stage 1 is off.
    Off,
    /// TTBR0's.
    Lower,
    /// TTBR1's.
    Upper,
}

impl Half {
    /// `address` as EL1 has it there, or EL0.
    fn of(self, address: u64, way: &Way) -> u64 {
        match (self, way.act) {
            (Half::Off, _) => address,
            (_, Act::El0(stub, _)) if stub.is_aarch32() => mmu::narrow(address),
            (_, Act::El0(..)) => mmu::user(address),
            (Half::Upper, _) => mmu::kernel(address),
            (Half::Lower, _) if way.needs == Needs::User => mmu::user(address),
            (Half::Lower, _) => address,
        }
    }
}

/// What is at an address of one of the halves.
fn plain(address: u64) -> u64 {
    address & ((1 << 37) - 1)
}

/// A touch: a way, and from where.
#[derive(Clone, Copy)]
struct Touch<'a> {
    way: &'a Way,
    half: Half,
    /// EL1 uses SP_EL0.
    sp0: bool,
    /// It is the table for the touched page that is lent, and not that.
    walk: bool,
}

/// What came of one.
struct Seen {
    outcome: Result<u64, Fault>,
    /// All of EL1's, and what they would be if what is read were zeroes.
    registers: Option<(Registers, Registers, Registers)>,
    /// Of the instruction.
    pc: u64,
}

/// What all touches are made with.
struct Bench {
    alone: Alone,
    id: u64,
    area: Block,
    /// The page of `area` that is lent.
    page: Block,
    /// A table for `behind`, and what it maps.
    table: Block,
    behind: Block,
}

pub fn run(host: &mut Host) {
    let name = args::value(host.machine.args, "mechanism").unwrap_or("");
    let Some(alone) = Alone::parse(name) else {
        host.report.step("mechanism", false, format_args!("{name:?} is none"));
        return;
    };
    guests(host);
    fp::enable();
    let created = vm::create();
    let Some(id) = host.report.value("create", created) else {
        return;
    };
    let (area, behind, table) = (host.pages.take_blocks(1), host.pages.take_blocks(1), host.pages.take(1));
    area.fill(pattern::at);
    behind.fill(pattern::at);
    let page = area.part(3, 1);
    let bench = Bench {
        alone,
        id,
        area,
        page,
        table,
        behind,
    };
    if alone == Alone::Halt {
        let _ = host.mail().lend(id, &[(page.base(), 1)]);
        let _ = bench.touch(host, &Touch::of(&ways::LOAD, Half::Off));
        host.report.step("halt", false, format_args!("it went on"));
        return;
    }
    bench.all(host, &[Half::Off]);
    bench.permission(host);
    host.translate();
    map(host, &bench);
    bench.all(host, &[Half::Lower, Half::Upper]);
    bench.walks(host);
    let destroyed = vm::destroy(id);
    host.report.value("destroy", destroyed);
}

/// A guest's own touches of what is not its, to which the policy is nothing.
fn guests(host: &mut Host) {
    vm::drain_faults();
    let image = host.image();
    let (memory, further) = (host.pages.take_blocks(2), host.pages.take(9));
    for guest in [("illegal", "scenario=illegal"), ("ffa", "scenario=ffa")] {
        super::tenants::tenant(host, &image, memory, further, guest);
    }
    host.report.same("the host has no record of it", vm::drain_faults(), 0);
}

/// Maps the area in pages, and for an EL0 of AArch32 too, which may do whatever it likes there.
fn map(host: &mut Host, bench: &Bench) {
    host.map_in_pages(bench.area, bench.area.part(9, 1));
    let (stubs, near) = (host.stubs, bench.area.part(2, 3));
    if let Some(space) = &host.space {
        for (at, block, access) in [
            (mmu::user(near.base()), near, Access::UserAll),
            (mmu::narrow(near.base()), near, Access::UserAll),
            (mmu::narrow(stubs.base()), stubs, Access::UserCode),
        ] {
            space.map_pages(&mut host.pages, at, block.base(), block.bytes(), access);
        }
    }
}

impl<'a> Touch<'a> {
    fn of(way: &'a Way, half: Half) -> Self {
        Touch {
            way,
            half,
            sp0: false,
            walk: false,
        }
    }

    /// The number of the vector.
    fn vector(&self) -> u64 {
        match self.way.act {
            Act::El0(stub, _) if stub.is_aarch32() => 12,
            Act::El0(..) => 8,
            Act::El1(..) if self.sp0 => 0,
            Act::El1(..) => 4,
        }
    }

    /// SPSR_EL1.M.
    fn mode(&self) -> u64 {
        match self.vector() {
            12 => 0b1_0000,
            8 => 0b0_0000,
            0 => 0b0_0100,
            _ => 0b0_0101,
        }
    }

    /// The class that its record is to have.
    fn class(&self) -> u64 {
        match (self.way.act, self.way.kind) {
            _ if self.walk => vendor::CLASS_WALK,
            (Act::El0(..), _) => vendor::CLASS_EL0,
            (_, Kind::Fetch) => vendor::CLASS_FETCH,
            _ if self.half == Half::Upper => vendor::CLASS_EL1_KERNEL,
            _ => vendor::CLASS_EL1_USER,
        }
    }

    /// ESR_EL1 but for the fault status code. `refused` is what EL2 was told (ESR_EL2).
    fn syndrome(&self, refused: u64) -> u64 {
        let from_el1 = u64::from(matches!(self.way.act, Act::El1(..)));
        let (class, rest) = match self.way.kind {
            Kind::Fetch => (FETCH, 0),
            Kind::Load | Kind::Exclusive => (DATA, 0),
            Kind::Store => (DATA, WNR),
            // Which of the two it is that is told is the CPU's.
            Kind::Atomic => (DATA, refused & WNR),
            Kind::Translate => (DATA, CM | refused & WNR),
        };
        (class + from_el1) << 26 | IL | rest
    }
}

impl Bench {
    /// Every way, from everywhere.
    fn all(&self, host: &mut Host, halves: &[Half]) {
        for half in halves {
            let possible = |way: &&Way| way.needs.is_there() && (*half != Half::Off || !way.needs.stage1());
            for way in ways::EL1.iter().filter(possible) {
                if way.needs == Needs::User && *half == Half::Upper {
                    continue;
                }
                for sp0 in [false, true] {
                    let touch = Touch {
                        sp0,
                        ..Touch::of(way, *half)
                    };
                    self.one(host, &touch);
                }
            }
            self.one_after_the_other(host, *half);
            if *half == Half::Upper {
                continue;
            }
            for way in ways::EL0.iter().filter(possible) {
                self.one(host, &Touch::of(way, *half));
            }
        }
    }

    /// Every way, by a table that is lent.
    fn walks(&self, host: &mut Host) {
        let Some(space) = host.space.take() else { return };
        for i in 0..512 {
            // A page, Normal, read and written by EL1: attribute 1, Inner Shareable, accessed.
            self.table
                .write(i as usize * 8, (self.behind.base() + i * PAGE) | 0x707);
        }
        for at in [self.behind.base(), mmu::user(self.behind.base())] {
            space.set_table(&mut host.pages, at, self.table.base());
        }
        host.space = Some(space);
        for half in [Half::Lower, Half::Upper] {
            for way in ways::WALKS.iter().filter(|way| way.needs.is_there()) {
                for sp0 in [false, true] {
                    let walk = true;
                    self.one(host, &Touch { way, half, sp0, walk });
                }
            }
        }
        for way in &ways::EL0_WALKS {
            let touch = Touch {
                walk: true,
                ..Touch::of(way, Half::Lower)
            };
            self.one(host, &touch);
        }
        let dirt = self.behind.differs(pattern::at);
        host.report
            .step("behind the table", dirt.is_none(), format_args!("{dirt:x?}"));
    }

    /// A store and a load of the same place, with nothing between: each is refused or served for itself, and what the first
    /// has left, if anything, the second does not find. A page that was taken is the host's for both.
    fn one_after_the_other(&self, host: &mut Host, half: Half) {
        let Ok(handle) = host.mail().lend(self.id, &[(self.page.base(), 1)]) else {
            return;
        };
        vm::drain_faults();
        if half != Half::Off {
            // The tables are the host's: they tell where it is, and nothing is touched.
            let mut registers = Registers::new(half.of(self.page.base(), &ways::LOAD), false);
            // SAFETY: changes PAR_EL1.
            let outcome = unsafe { one::Instruction::TRANSLATE.run(&mut registers) };
            // F, and PA in bits 47:12.
            let par = read_register!("par_el1");
            let found = par & 1 == 0 && par & 0xffff_ffff_f000 == self.page.base();
            let records = vm::drain_faults();
            host.report.step(
                "its own tables tell",
                outcome.is_ok() && found && records == 0,
                format_args!("{half:?}: {outcome:x?} PAR_EL1 {par:#x}, {records} records"),
            );
        }
        let [stored, loaded] = [&ways::STORE, &ways::LOAD].map(|way| self.touch(host, &Touch::of(way, half)));
        let records = vm::drain_faults();
        let found = loaded.registers.map_or(0, |(_, after, _)| after.x[3]);
        let kept = stored.registers.map_or(0, |(_, after, _)| after.x[1]);
        let (wanted, value) = match self.alone.answer(Kind::Load, false) {
            Answer::Decoy => (2, Some(0)),
            Answer::Taken => (1, Some(kept)),
            Answer::Code(_) | Answer::Tagged => (2, None),
        };
        let good = loaded.outcome.is_ok() == value.is_some() && value.is_none_or(|value| found == value);
        let back = ffa::reclaim(handle);
        host.report.step(
            "one after the other",
            good && records == wanted && back.is_ok(),
            format_args!(
                "{half:?}: {:x?}, {:x?} {found:#x}, {records} records",
                stored.outcome, loaded.outcome
            ),
        );
        self.page.fill(pattern::at);
    }

    /// Stage 2 lets nobody execute devices, and that is the one permission fault there is. What it has to do with the page
    /// that was refused before is nothing: it is answered as by the bus, whatever the policy says, and has no record.
    fn permission(&self, host: &mut Host) {
        let Ok(handle) = host.mail().lend(self.id, &[(self.page.base(), 1)]) else {
            return;
        };
        let device = host.machine.uart;
        let mut wrong = 0;
        for sp0 in [false, true] {
            let _ = self.touch(host, &Touch::of(&ways::LOAD, Half::Off));
            vm::drain_faults();
            let way = Way {
                spot: Spot::In(0),
                ..ways::FETCH
            };
            let touch = Touch {
                sp0,
                ..Touch::of(&way, Half::Off)
            };
            let mut registers = Registers::new(device, sp0);
            // SAFETY: what is jumped to cannot be executed.
            let outcome = unsafe { one::Instruction::JUMP.run(&mut registers) };
            let good = outcome.is_err_and(|fault| {
                (fault.esr, fault.far, fault.elr) == (touch.syndrome(0) | EXTERNAL, device, device)
                    && fault.vector == touch.vector()
            });
            let recorded = vm::drain_faults();
            wrong += u32::from(!good || recorded != 0);
            host.report.step(
                "fetch from a device",
                good && recorded == 0,
                format_args!("SP0 {sp0}: {outcome:x?}, {recorded} records"),
            );
        }
        let back = ffa::reclaim(handle);
        host.report.step(
            "permission faults",
            wrong == 0 && back.is_ok(),
            format_args!("{wrong} wrong, {back:?}"),
        );
        self.page.fill(pattern::at);
    }

    /// The page that is lent for a touch.
    fn lent(&self, touch: &Touch<'_>) -> Block {
        if touch.walk { self.table } else { self.page }
    }

    /// The address of a touch, and that which is refused.
    fn addresses(&self, touch: &Touch<'_>) -> (u64, u64) {
        let base = if touch.walk {
            self.behind.base() + 3 * PAGE
        } else {
            self.page.base()
        };
        let at = |address| touch.half.of(address, touch.way);
        (at(touch.way.spot.address(base)), at(touch.way.spot.refused(base)))
    }

    /// Lends, touches, looks, and takes back.
    fn one(&self, host: &mut Host, touch: &Touch<'_>) {
        let lent = self.lent(touch);
        let before: heapless::Vec<u64, 512> = (0..512).map(|n| lent.read(n * 8)).collect();
        let handle = match host.mail().lend(self.id, &[(lent.base(), 1)]) {
            Ok(handle) => handle,
            Err(error) => {
                host.report.step(touch.way.name, false, format_args!("lend: {error}"));
                return;
            }
        };
        vm::drain_faults();
        cpu::invalidate_translations();
        let seen = self.touch(host, touch);
        let record = vm::fault();
        let further = vm::drain_faults();
        let answer = self.alone.answer(touch.way.kind, touch.walk);
        let wrong = match record {
            Ok(record) => self
                .wrong_record(touch, answer, &seen, &record)
                .or_else(|| self.wrong_answer(touch, answer, &seen, &record))
                .or((further != 0).then_some("more than one record")),
            Err(_) => Some("no record"),
        };
        let back = ffa::reclaim(handle);
        let kept = (0..512).find(|n| lent.read(n * 8) != before[*n]);
        let wrong = wrong
            .or(back.err().map(|_| "reclaim"))
            .or(match answer {
                Answer::Taken => self.wrong_page(touch, lent),
                _ => kept.map(|_| "the lent page has changed"),
            })
            .or_else(|| self.wrong_beside(touch));
        self.restore(&before, lent);
        host.report.step(
            touch.way.name,
            wrong.is_none(),
            format_args!(
                "{:?}{}{}: {} {:x?} {record:x?}",
                touch.half,
                if touch.sp0 { " SP0" } else { "" },
                if touch.walk { " walk" } else { "" },
                wrong.unwrap_or(""),
                seen.outcome,
            ),
        );
    }

    fn restore(&self, before: &[u64], lent: Block) {
        for (n, word) in before.iter().enumerate() {
            lent.write(n * 8, *word);
        }
        self.area.part(2, 1).fill(pattern::at);
        self.area.part(4, 1).fill(pattern::at);
    }

    fn touch(&self, host: &Host, touch: &Touch<'_>) -> Seen {
        let (address, _) = self.addresses(touch);
        match touch.way.act {
            Act::El1(instruction, change) => {
                if touch.way.needs == Needs::Sve {
                    one::all_active();
                }
                let before = Registers::new(address, touch.sp0);
                let (mut after, mut wanted) = (before, before);
                change(&mut wanted);
                // SAFETY: memory of this test's alone.
                let outcome = unsafe { instruction.run(&mut after) };
                Seen {
                    outcome: outcome.map(|()| 0),
                    registers: Some((before, after, wanted)),
                    pc: instruction.pc(),
                }
            }
            Act::El0(stub, _) => {
                let program = match touch.half {
                    Half::Off => host.program(),
                    _ if stub.is_aarch32() => Program::existing(mmu::narrow(host.stubs.base())),
                    _ => host.program(),
                };
                // SAFETY: memory of this test's alone; what could be fetched is EL0's, which comes back at its first
                // exception.
                let outcome = unsafe { program.run(stub, address, 1) };
                Seen {
                    outcome,
                    registers: None,
                    pc: program.pc(stub),
                }
            }
        }
    }
}
