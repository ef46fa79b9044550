//! What must be so however a loader has left the machine: EL1 reaches its registers, the clocks agree, CPUs start, a
//! guest runs. With `to=ADDRESS`, what a device was told to write there before has arrived.

use leasehold_guests::arch::cpu;
use leasehold_guests::edu::{BUFFER_BYTES, Edu};
use leasehold_guests::host::Host;
use leasehold_guests::{args, pattern, read_register, write_register};

pub fn run(host: &mut Host) {
    cpu::delay(args::number_of(host.machine.args, "wait-ms", 0));
    // Before anything else takes that memory.
    written(host);
    registers(host);
    host.start_cpus();
    host.translate();
    let memory = host.pages.take_blocks(1);
    let image = host.image();
    if let Some(guest) = host.running(&image, memory) {
        let ended = guest.end();
        host.report.value("destroy, reclaim", ended);
    }
}

/// A trap to EL2 of any of these ends the run: EL2 has no answer to it but an undefined instruction.
fn registers(host: &mut Host) {
    let (virtual_, physical) = (read_register!("cntvct_el0"), read_register!("cntpct_el0"));
    let apart = physical.wrapping_sub(virtual_);
    host.report.step(
        "virtual and physical time agree",
        apart < read_register!("cntfrq_el0"),
        format_args!("{apart} ticks apart"),
    );
    let (midr, mpidr) = (read_register!("midr_el1"), read_register!("mpidr_el1"));
    let affinity = mpidr & 0xff_00ff_ffff;
    host.report
        .step("MIDR_EL1", midr != 0xdead_beef, format_args!("{midr:#x}"));
    host.report.same("MPIDR_EL1", affinity, host.machine.cpus[0]);
    let dfr0 = read_register!("id_aa64dfr0_el1");
    if dfr0 >> 8 & 0xf != 0 {
        let counters = read_register!("pmcr_el0") >> 11 & 0x1f;
        host.report.step("counters", counters != 0, format_args!("{counters}"));
    }
    // Debug, timers, features, identification, translation, caches: each has a trap of its own.
    let _ = read_register!("mdscr_el1");
    let _ = read_register!("dbgbvr0_el1");
    let _ = read_register!("oslsr_el1");
    write_register!("cntp_ctl_el0", 0);
    write_register!("cntv_ctl_el0", 0);
    write_register!("cpacr_el1", 0b11 << 20);
    let _ = read_register!("ctr_el0");
    let _ = read_register!("ccsidr_el1");
    let _ = read_register!("id_aa64isar0_el1");
    let _ = read_register!("revidr_el1");
    let _ = read_register!("actlr_el1");
    write_register!("contextidr_el1", 0);
    write_register!("tpidrro_el0", 0);
    let pfr0 = read_register!("id_aa64pfr0_el1");
    if pfr0 >> 24 & 0xf != 0 {
        let _ = read_register!("S3_0_C4_C6_0"); // ICC_PMR_EL1
        let _ = read_register!("S3_0_C12_C12_7"); // ICC_IGRPEN1_EL1
        let _ = read_register!("S3_0_C12_C12_6"); // ICC_IGRPEN0_EL1
    }
    // SAFETY: floating point and cache maintenance, which change nothing that this program uses.
    unsafe {
        core::arch::asm!(
            ".arch_extension fp",
            "mov {x}, sp",
            "fmov {f}, d0",
            "dc cvac, {x}",
            "ic iallu",
            "tlbi vmalle1",
            "dsb sy",
            "isb",
            x = out(reg) _,
            f = out(reg) _,
            options(nostack)
        );
    }
    // ID_AA64ISAR2_EL1.MOPS.
    if read_register!("S3_0_C0_C6_2") >> 16 & 0xf != 0 {
        move_memory();
    }
    host.report.step("registers", true, format_args!("no trap"));
}

/// Copies a few bytes by the instructions that HCRX_EL2 lets EL1 have.
fn move_memory() {
    let (from, mut to) = ([7_u8; 32], [0_u8; 32]);
    // SAFETY: both are as long.
    unsafe {
        core::arch::asm!(
            ".arch_extension mops",
            "cpyfp [{to}]!, [{from}]!, {bytes}!",
            "cpyfm [{to}]!, [{from}]!, {bytes}!",
            "cpyfe [{to}]!, [{from}]!, {bytes}!",
            to = inout(reg) to.as_mut_ptr() => _,
            from = inout(reg) from.as_ptr() => _,
            bytes = inout(reg) 32_u64 => _,
            options(nostack)
        );
    }
    assert_eq!(from, to);
}

/// The device is through, and the memory that it was told to write is as it should be.
fn written(host: &mut Host) {
    let to = args::number_of(host.machine.args, "to", 0);
    let Some(edu) = host.machine.ecam.and_then(Edu::find).filter(|_| to != 0) else {
        return;
    };
    let through = edu.wait();
    host.report.step("the device is through", through, format_args!(""));
    if args::has(host.machine.args, "kept-out") {
        return;
    }
    let wrong = (to..to + BUFFER_BYTES).step_by(8).find(|at| {
        // SAFETY: RAM of this host's that nothing else uses yet.
        unsafe { (*at as *const u64).read_volatile() != pattern::at(*at) }
    });
    host.report.step(
        "what the device wrote has arrived",
        wrong.is_none(),
        format_args!("{wrong:x?}"),
    );
}
