//! EL2's registers as an owner may leave them who had other plans.

use core::arch::{asm, global_asm};
use leasehold_guests::arch::gic;
use leasehold_guests::tree::Machine;
use leasehold_guests::{line, read_register, stop, write_register};

/// CNTHP's interrupt (Arm ARM, D12.2.4 recommends PPI 26).
const HYPERVISOR_TIMER: u32 = 26;

/// A field of an ID register.
fn has(register: u64, shift: u32) -> bool {
    register >> shift & 0xf != 0
}

/// Everything traps, or counts from somewhere else, or is somebody else's.
pub fn spoil() {
    let (pfr0, pfr1) = (read_register!("id_aa64pfr0_el1"), read_register!("id_aa64pfr1_el1"));
    let (mmfr0, mmfr1) = (read_register!("id_aa64mmfr0_el1"), read_register!("id_aa64mmfr1_el1"));
    let dfr0 = read_register!("id_aa64dfr0_el1");
    write_register!("hstr_el2", 0xffff);
    write_register!("vpidr_el2", 0xdead_beef);
    write_register!("vmpidr_el2", 0x8000_0b0b);
    write_register!("cntvoff_el2", 0x1234_5678_9abc);
    write_register!("cnthctl_el2", 0);
    // All that MDCR_EL2 traps: TPMCR to TDRA, TPMS, TTRF; no counters for EL1.
    write_register!("mdcr_el2", 0x000c_4f60);
    write_register!("vttbr_el2", 0x7f00_00de_a000);
    write_register!("vtcr_el2", 0x8000_3fff);
    write_register!("vbar_el2", &raw const lh_stub_vectors as u64);
    write_register!("tpidr_el2", 0xdead_0000);
    write_register!("mair_el2", 0x4404_bbff);
    write_register!("ttbr0_el2", 0xdead_0000);
    write_register!("tcr_el2", 0x8080_0000);
    if has(pfr0, 32) {
        write_register!("S3_4_C1_C2_0", 0); // ZCR_EL2
    }
    if has(pfr1, 24) {
        write_register!("S3_4_C1_C2_6", 0); // SMCR_EL2
    }
    if has(pfr0, 24) {
        write_register!("S3_4_C12_C9_5", 0); // ICC_SRE_EL2
        write_register!("S3_4_C12_C11_0", 0x1c01); // ICH_HCR_EL2: En, TC, TALL0, TALL1
    }
    if has(mmfr1, 40) {
        write_register!("S3_4_C1_C2_2", 0); // HCRX_EL2
    }
    if has(mmfr0, 56) {
        // What traps when set is set, what traps when clear is clear: HFGRTR, HFGWTR, HFGITR, HDFGRTR, HDFGWTR.
        write_register!("S3_4_C1_C1_4", 0x000b_ffff_ffff_ffff);
        write_register!("S3_4_C1_C1_5", 0x000b_ffff_ffff_ffff);
        write_register!("S3_4_C1_C1_6", 0x007f_ffff_ffff_ffff);
        write_register!("S3_4_C3_C1_4", 0x07ff_ffff_ffff_ffff);
        write_register!("S3_4_C3_C1_5", 0x07ff_ffff_ffff_ffff);
    }
    if has(dfr0, 40) {
        write_register!("S3_4_C1_C2_1", 0xf); // TRFCR_EL2
    }
    if has(mmfr1, 8) {
        // CNTHV: it rings.
        write_register!("S3_4_C14_C3_2", 0);
        write_register!("S3_4_C14_C3_1", 1);
    }
    // Without VHE's layout: TFP, TSM, TZ, TTA, TCPAC.
    write_register!("cptr_el2", 0x8010_37ff);
    // FMO, IMO, AMO, TWI, TWE, TID0 to TID3, TSC, TIDCP, TACR, TSW, TPC, TPU, TTLB, TVM, TGE, TDZ, TRVM, RW.
    write_register!("hcr_el2", 0x0000_0000_dfff_e038);
    // RES1, and A, SA, WXN: the MMU is off.
    write_register!("sctlr_el2", 0x30cd_083a);
}

/// EL2's timer will ring 40 µs from now, while Leasehold still cleans its image, and EL2 takes interrupts.
pub fn alarm(machine: &Machine) {
    let Some((distributor, frame)) = machine.gic else {
        stop(format_args!("the alarm needs a GICv3"))
    };
    write_register!("S3_4_C12_C9_5", 0xf); // ICC_SRE_EL2
    if gic::enable(distributor, frame).is_err() {
        stop(format_args!("the GIC faults"))
    }
    gic::enable_private(frame, HYPERVISOR_TIMER);
    write_register!("vbar_el2", &raw const lh_stub_vectors as u64);
    write_register!("hcr_el2", 1 << 31 | 1 << 5 | 1 << 4 | 1 << 3);
    write_register!("cnthp_tval_el2", read_register!("cntfrq_el0") / 25_000);
    write_register!("cnthp_ctl_el2", 1);
}

unsafe extern "C" {
    safe static lh_stub_vectors: u8;
}

global_asm!(
    r#"
    .section .text.stub_vectors, "ax"
    .balign 2048
    .global lh_stub_vectors
lh_stub_vectors:
    .rept 16
    .balign 128
    b       lh_stub_exception
    .endr
lh_stub_exception:
    adrp    x0, __stack_end
    mov     sp, x0
    b       lh_stub_taken
    "#
);

/// EL2 has taken an exception with these vectors: nobody masked it, or nobody set others.
#[unsafe(no_mangle)]
extern "C" fn lh_stub_taken() -> ! {
    // SAFETY: what comes now is the end.
    unsafe { asm!("msr daifset, #0xf", options(nostack)) };
    line!("LH-STUB EL2 took an exception");
    stop(format_args!(
        "ESR_EL2 {:#x}, ELR_EL2 {:#x}",
        read_register!("esr_el2"),
        read_register!("elr_el2")
    ))
}
