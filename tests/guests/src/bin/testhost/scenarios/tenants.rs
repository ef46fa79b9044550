//! Each of the test guest's scenarios, to its end.

use leasehold_abi::vendor;
use leasehold_guests::arch::fp;
use leasehold_guests::host::Host;
use leasehold_guests::lender::{Failed, Guest, Image};
use leasehold_guests::pages::Block;
use leasehold_guests::{args, pattern};

/// Names, by which `tenant=` chooses one, and what each guest is told.
const ALL: [(&str, &str); 7] = [
    ("live", ""),
    ("illegal", "scenario=illegal"),
    ("calls", "scenario=calls"),
    ("fp", "scenario=fp"),
    ("sysregs", "scenario=sysregs"),
    ("ffa", "scenario=ffa"),
    ("ffa-mmu", "scenario=ffa mmu"),
];

pub fn run(host: &mut Host) {
    let image = host.image();
    let memory = host.pages.take_blocks(2);
    let further = host.pages.take(9);
    let only = args::value(host.machine.args, "tenant");
    for (name, arguments) in ALL.iter().filter(|(n, _)| only.is_none_or(|o| o == *n)) {
        tenant(host, &image, memory, further, (name, arguments));
    }
    if only.is_none() {
        reset(host, &image, memory);
    }
}

/// Runs it, with values of the host's own in the FP registers.
fn run_with_fp(guest: &mut Guest) -> Result<(u64, u32, bool), Failed> {
    let bytes = fp::enable();
    let mut kept = true;
    for turn in 0..100 {
        let state = fp::State::of(0x1000 + turn);
        state.put();
        let exit = guest.run()?;
        kept &= state.is_there(bytes);
        if exit.reason != vendor::EXIT_WAIT {
            return Ok((exit.reason, turn as u32, kept));
        }
    }
    Err(Failed("waits for ever", 0))
}

pub fn tenant(host: &mut Host, image: &Image, memory: Block, further: Block, (name, arguments): (&str, &str)) {
    let mail = host.mail();
    further.fill(pattern::at);
    let made = Guest::new(&mail, image, arguments, &[memory]).and_then(|mut guest| {
        guest.lend(&mail, &[further.part(0, 4), further.part(5, 4)])?;
        guest.start(image)?;
        Ok(guest)
    });
    let Some(mut guest) = host.report.value(name, made) else {
        return;
    };
    let ran = run_with_fp(&mut guest);
    if let Some((reason, waits, kept)) = host.report.value("run", ran) {
        host.report.same("it is off", reason, vendor::EXIT_OFF);
        host.report
            .step("the host's FP registers are kept", kept, format_args!("{waits} waits"));
    }
    let done = guest.said.has("LH-GUEST done") || guest.said.has("LH-GUEST intact");
    let good = done && !guest.said.has("FAIL") && !guest.said.has("LH-PANIC");
    host.report.step("all is well inside", good, format_args!("{name}"));
    let ended = guest.end();
    host.report.value("end", ended);
    let parts = [further.part(0, 4), further.part(5, 4)];
    // What the guest has not retrieved is as the host left it.
    let others = parts.iter().find_map(|part| {
        let retrieved = name.starts_with("ffa");
        part.differs(|at| if retrieved { 0 } else { pattern::at(at) })
    });
    let dirt = memory
        .differs(|_| 0)
        .or(others)
        .or(further.part(4, 1).differs(pattern::at));
    host.report.step("clean", dirt.is_none(), format_args!("{dirt:x?}"));
}

/// A guest that asks for a reset.
fn reset(host: &mut Host, image: &Image, memory: Block) {
    let mail = host.mail();
    let made = Guest::new(&mail, image, "scenario=reset", &[memory]);
    let Some(mut guest) = host.report.value("reset", made) else {
        return;
    };
    let exit = guest.start(image).and_then(|()| guest.run());
    host.report.step(
        "it asks for a reset",
        exit.is_ok_and(|e| e.reason == vendor::EXIT_RESET),
        format_args!("{exit:?}"),
    );
    let ended = guest.end();
    host.report.value("end", ended);
}
