//! Accesses that may be refused.
//!
//! Each is one instruction at a known place. An exception there is written into a [`Fault`], and the program goes on
//! behind it. The stack pointer differs from one probe to the next, so that no two of them are "the very same access"
//! to somebody who looks for accesses that make no progress.

use super::vectors::Frame;
use super::{call, cpu};
use core::arch::global_asm;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// What an exception reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Fault {
    /// `ESR_EL1`.
    pub esr: u64,
    /// `FAR_EL1`.
    pub far: u64,
    /// `ELR_EL1`.
    pub elr: u64,
    /// `SPSR_EL1`.
    pub spsr: u64,
    /// Which of the sixteen vectors was taken.
    pub vector: u64,
    /// `DAIF`, `CurrentEL`, `SPSel` and, where there is one, `PAN`, as the handler found them.
    pub pstate: u64,
}

impl Fault {
    /// ESR_EL1.EC: what kind of exception it is.
    pub fn class(&self) -> u64 {
        self.esr >> 26 & 0x3f
    }

    /// The fault status code, ESR_EL1 bits 5:0 (DFSC or IFSC).
    pub fn status(&self) -> u64 {
        self.esr & 0x3f
    }

    /// Is it an instruction or data abort (EC 0x20, 0x21, 0x24, 0x25)?
    pub fn is_abort(&self) -> bool {
        matches!(self.class(), 0x20 | 0x21 | 0x24 | 0x25)
    }

    /// Is the instruction not there (EC 0, and EC 0x18 for ID registers with FEAT_IDST)?
    pub fn is_undefined(&self) -> bool {
        matches!(self.class(), 0 | 0x18)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ESR {:#x} (EC {:#x} FSC {:#x}) FAR {:#x} ELR {:#x} SPSR {:#x}",
            self.esr,
            self.class(),
            self.status(),
            self.far,
            self.elr,
            self.spsr
        )
    }
}

/// How wide an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte,
    /// Four bytes.
    Word,
    /// Eight bytes.
    Double,
}

/// In `x3` of a probe that jumps, so that the handler knows it.
const JUMP: u64 = 0x6a75_6d70_6f75_7421;

global_asm!(
    r#"
    .macro probe name, insn:vararg
    .global \name
\name:
    sub     sp, sp, x2
    \insn
    add     sp, sp, x2
    ret
    .endm

    .section .text.probe, "ax"
    .global lh_probe_begin
lh_probe_begin:
    probe   lh_probe_load8, ldrb w0, [x0]
    probe   lh_probe_load32, ldr w0, [x0]
    probe   lh_probe_load64, ldr x0, [x0]
    probe   lh_probe_pair, ldp x0, x3, [x0]
    probe   lh_probe_writeback, ldr x3, [x0], #8
    probe   lh_probe_exclusive, ldxr x3, [x0]
    probe   lh_probe_store8, strb w3, [x0]
    probe   lh_probe_store32, str w3, [x0]
    probe   lh_probe_store64, str x3, [x0]
    probe   lh_probe_civac, dc civac, x0
    probe   lh_probe_zva, dc zva, x0
    .global lh_probe_end
lh_probe_end:
    .global lh_probe_fixup
lh_probe_fixup:
    add     sp, sp, x2
    ret

    .global lh_probe_jump
lh_probe_jump:
    str     x30, [sp, #-16]!
    sub     sp, sp, x2
    mov     x6, x0
    mov     x0, x4
    blr     x6
    .global lh_probe_jump_back
lh_probe_jump_back:
    add     sp, sp, x2
    ldr     x30, [sp], #16
    ret
    "#
);

type Probe = unsafe extern "C" fn(u64, *mut Fault, u64, u64) -> u64;

unsafe extern "C" {
    safe static lh_probe_begin: u8;
    safe static lh_probe_end: u8;
    safe static lh_probe_fixup: u8;
    safe static lh_probe_jump_back: u8;
    fn lh_probe_load8(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_load32(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_load64(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_pair(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_writeback(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_exclusive(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_store8(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_store32(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_store64(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_civac(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_zva(address: u64, fault: *mut Fault, slide: u64, value: u64) -> u64;
    fn lh_probe_jump(address: u64, fault: *mut Fault, slide: u64, magic: u64, argument: u64) -> u64;
}

/// How far the next probe moves its stack pointer: 16 bytes more than the last one, up to 1 KiB.
pub(super) fn slide() -> u64 {
    static COUNT: [AtomicU64; cpu::MOST] = [const { AtomicU64::new(0) }; cpu::MOST];
    // Plain loads and stores: with the MMU off there may be no exclusives.
    let count = &COUNT[cpu::number()];
    let n = count.load(Ordering::Relaxed).wrapping_add(1);
    count.store(n, Ordering::Relaxed);
    (n % 64) * 16
}

fn run(probe: Probe, address: u64, value: u64, slide: u64) -> Result<u64, Fault> {
    let mut fault = Fault::default();
    // SAFETY: the assembly keeps to the calling convention. A load or a maintenance operation changes nothing of this
    // program's; what a store may change is what the callers of `write` and `zero_line` answer for.
    let value = unsafe { probe(address, &raw mut fault, slide, value) };
    // `fault` was written behind the compiler's back, by way of the pointer.
    // SAFETY: a plain local variable.
    let fault = unsafe { (&raw const fault).read_volatile() };
    if fault == Fault::default() {
        Ok(value)
    } else {
        Err(fault)
    }
}

/// Loads from `address`. The value is zero-extended.
///
/// # Errors
/// The exception that came instead.
pub fn read(address: u64, width: Width) -> Result<u64, Fault> {
    let probe: Probe = match width {
        Width::Byte => lh_probe_load8,
        Width::Word => lh_probe_load32,
        Width::Double => lh_probe_load64,
    };
    run(probe, address, 0, slide())
}

/// Loads whose syndrome does not say which register they load (ESR_ELx.ISV is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// `LDP`: two registers.
    Pair,
    /// `LDR` that writes its base register back.
    WriteBack,
    /// `LDXR`.
    Exclusive,
}

/// Loads from `address` in an odd way. The value is not of interest.
///
/// # Errors
/// The exception that came instead.
pub fn read_oddly(address: u64, odd: Odd) -> Result<(), Fault> {
    let probe: Probe = match odd {
        Odd::Pair => lh_probe_pair,
        Odd::WriteBack => lh_probe_writeback,
        Odd::Exclusive => lh_probe_exclusive,
    };
    run(probe, address, 0, slide()).map(drop)
}

/// Loads 64 bits from `address` with the stack pointer where it was the last time: to somebody who compares, the very
/// same access, when called from the same place.
///
/// # Errors
/// The exception that came instead.
pub fn read_again(address: u64) -> Result<u64, Fault> {
    run(lh_probe_load64, address, 0, 0)
}

/// A task of a kernel's, as far as EL2 can tell one from another: its stack pointers.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// `SP_EL0`, which names it.
    pub name: u64,
    /// The end of its stack, of which a handler of exceptions needs some KiB.
    pub stack: u64,
}

/// Loads 64 bits from `address` as that task, on whatever CPU: the very same access each time.
///
/// # Errors
/// The exception that came instead.
///
/// # Safety
/// The stack is the task's alone, and it makes no other access meanwhile.
#[inline(never)]
pub unsafe fn read_as(address: u64, task: &Task) -> Result<u64, Fault> {
    let sp: u64;
    // SAFETY: EL1 has its own stack pointer here, and what is in the other one is nobody's.
    unsafe {
        core::arch::asm!("mov {}, sp", "msr sp_el0, {}", out(reg) sp, in(reg) task.name, options(nomem, nostack))
    };
    run(lh_probe_load64, address, 0, sp.wrapping_sub(task.stack))
}

/// Stores to `address`.
///
/// # Errors
/// The exception that came instead.
///
/// # Safety
/// Nothing that Rust holds a reference to may be there.
pub unsafe fn write(address: u64, width: Width, value: u64) -> Result<(), Fault> {
    let probe: Probe = match width {
        Width::Byte => lh_probe_store8,
        Width::Word => lh_probe_store32,
        Width::Double => lh_probe_store64,
    };
    run(probe, address, value, slide()).map(drop)
}

/// Cleans and invalidates the line at `address` to the point of coherency (`DC CIVAC`).
///
/// # Errors
/// The exception that came instead.
pub fn clean(address: u64) -> Result<(), Fault> {
    run(lh_probe_civac, address, 0, slide()).map(drop)
}

/// Zeroes the block at `address` (`DC ZVA`).
///
/// # Errors
/// The exception that came instead.
///
/// # Safety
/// Nothing that Rust holds a reference to may be there.
pub unsafe fn zero_line(address: u64) -> Result<(), Fault> {
    run(lh_probe_zva, address, 0, slide()).map(drop)
}

/// Jumps to `address` with `argument` in `x0`, and takes what is in `x0` when that returns.
///
/// # Errors
/// The exception of the first instruction there.
///
/// # Safety
/// If an instruction can be fetched from there, what runs must keep to the calling convention of AArch64, or fault at
/// its first instruction.
pub unsafe fn fetch(address: u64, argument: u64) -> Result<u64, Fault> {
    let mut fault = Fault::default();
    // SAFETY: the caller answers for what runs.
    let value = unsafe { lh_probe_jump(address, &raw mut fault, slide(), JUMP, argument) };
    // SAFETY: a plain local variable, written by way of the pointer.
    let fault = unsafe { (&raw const fault).read_volatile() };
    if fault == Fault::default() {
        Ok(value)
    } else {
        Err(fault)
    }
}

/// Called by the vector: is this exception a probe's? Then it is written down and the probe returns.
pub(super) fn recover(frame: &mut Frame) -> bool {
    let at = |symbol: &u8| (&raw const *symbol) as u64;
    if frame.vector != super::SYNC_EL1 {
        return false;
    }
    if call::recover(frame) {
        return true;
    }
    let in_probe = (at(&lh_probe_begin)..at(&lh_probe_end)).contains(&frame.elr);
    // The first instruction of what was jumped to; x6 holds its address.
    let in_jump = frame.x[3] == JUMP && frame.elr == frame.x[6];
    if !in_probe && !in_jump {
        return false;
    }
    let fault = frame.fault();
    // SAFETY: x1 of a probe is the address of the `Fault` that its caller, above, keeps on its stack.
    unsafe { (frame.x[1] as *mut Fault).write_volatile(fault) };
    frame.elr = if in_probe {
        at(&lh_probe_fixup)
    } else {
        at(&lh_probe_jump_back)
    };
    true
}
