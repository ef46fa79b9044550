//! When EL2 itself fails: what it looked like, and a stack trace of addresses.

use super::percpu::PerCpu;
use super::stage1::image;
use super::sysreg::read;
use crate::layout::{STACK_GUARD, STACK_PITCH};

/// Return addresses that a trace shows at most.
const DEPTH: usize = 16;

/// What the CPU looked like when EL2 failed.
#[derive(Clone, Copy, Debug)]
pub struct CrashState {
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2.
    pub far: u64,
    /// HPFAR_EL2.
    pub hpfar: u64,
    /// ELR_EL2.
    pub elr: u64,
    /// SPSR_EL2.
    pub spsr: u64,
    /// The stack pointer.
    pub sp: u64,
    /// Number of the CPU.
    pub cpu: usize,
    /// Whether a guest ran on it.
    pub in_guest: bool,
    trace: [u64; DEPTH],
    depth: usize,
}

impl CrashState {
    /// The return addresses on the stack, innermost first.
    pub fn trace(&self) -> &[u64] {
        &self.trace[..self.depth]
    }
}

/// Takes the state of this CPU. `sp`, `frame_pointer` and `link` are as they were when EL2 failed.
pub fn capture(sp: u64, frame_pointer: u64, link: u64) -> CrashState {
    let this = PerCpu::this();
    let mut state = CrashState {
        esr: read!("esr_el2"),
        far: read!("far_el2"),
        hpfar: read!("hpfar_el2"),
        elr: read!("elr_el2"),
        spsr: read!("spsr_el2"),
        sp,
        cpu: this.index(),
        // SAFETY: the cell is this CPU's own.
        in_guest: unsafe { !(*this.guest.get()).is_null() },
        trace: [0; DEPTH],
        depth: 0,
    };
    let mut push = |address: u64| {
        let (start, end) = (image::start() as u64, image::text_end() as u64);
        if state.depth < DEPTH && (start..end).contains(&address) {
            state.trace[state.depth] = address;
            state.depth += 1;
        }
    };
    push(link);
    let own = image::stacks() + this.index() * STACK_PITCH;
    let stacks = [
        own + STACK_GUARD..own + STACK_PITCH,
        image::boot_stack()..image::boot_stack_end(),
    ];
    let mut record = frame_pointer;
    for _ in 0..DEPTH {
        // A frame record (AAPCS64, 6.4.6) is two words on this CPU's stack, each further up than the last.
        let fits = |stack: &core::ops::Range<usize>| {
            stack.contains(&(record as usize)) && stack.contains(&(record as usize).saturating_add(15))
        };
        if !record.is_multiple_of(8) || !stacks.iter().any(fits) {
            break;
        }
        // SAFETY: the check says that both words are on a stack of this CPU's, which is mapped.
        let [next, link] = unsafe { *(record as *const [u64; 2]) };
        push(link);
        if next <= record {
            break;
        }
        record = next;
    }
    state
}

/// The calling function's frame pointer.
pub fn frame_pointer() -> u64 {
    let value: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}
