//! SDEI: calls, and a handler that writes down what it finds and ends as it was told to.
//!
//! The handler is registered with a number that says for which CPU and event. It fills x2 to x17 with rubbish before it
//! completes, so that what is interrupted notices when one of them does not come back.

use super::call::{self, Conduit, call};
use super::cpu::{self, MOST};
use super::probe::{self, Fault, Width};
use super::vectors::Frame;
use crate::vm::{self, Record};
use core::arch::global_asm;
use core::cell::UnsafeCell;
use leasehold_abi::sdei;

/// The event of accesses to lent memory.
pub const FAULT: u32 = sdei::EVENT_FAULT;
/// The one that `SDEI_EVENT_SIGNAL` signals.
pub const SOFTWARE: u32 = sdei::EVENT_SOFTWARE;

global_asm!(
    r#"
    .section .text.sdei, "ax"
    .global lh_sdei_handler
lh_sdei_handler:
    sub     sp, sp, #256
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    mov     x0, sp
    bl      lh_sdei_event
    ldp     x0, x1, [sp]
    ldr     x2, [sp, #16]
    ldp     x18, x30, [sp, #144]
    add     sp, sp, #256
    mov     x3, #0xbad
    .irp n, 4,5,6,7,8,9,10,11,12,13,14,15,16,17
    mov     x\n, x3
    .endr
    cbz     x2, 1f
    mov     x2, x3
    smc     #0
    b       lh_sdei_refused
1:  mov     x2, x3
    hvc     #0
lh_sdei_refused:
    bl      lh_sdei_incomplete

    .global lh_sdei_timed
lh_sdei_timed:
    hint    #0x63
    hint    #0x65
    hint    #0x67
    movz    x0, #:abs_g1:{resume}
    movk    x0, #:abs_g0_nc:{resume}
    adrp    x1, lh_resumed
    add     x1, x1, :lo12:lh_resumed
    hvc     #0
    b       lh_sdei_refused
    "#,
    resume = const sdei::EVENT_COMPLETE_AND_RESUME,
);

unsafe extern "C" {
    fn lh_sdei_handler();
    fn lh_sdei_timed();
    fn lh_resumed();
}

/// How a handler ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// What was interrupted goes on.
    #[default]
    Complete,
    /// It goes on behind the instruction that was interrupted, by way of what looks like an exception.
    Skip,
}

/// What a handler does before it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deed {
    /// Nothing.
    #[default]
    Nothing,
    /// Loads from there.
    Load(u64),
    /// Unregisters its own event.
    Unregister,
    /// Signals the software event to this CPU.
    Signal,
}

/// What a handler has found. All zeroes: it was not there. How often an access is told before the chain's next link
/// answers is the policy's matter: what is found, and done, is of the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit {
    /// How often it was there.
    pub times: u64,
    /// x0 to x3: the event, the argument, PC and PSTATE of what was interrupted.
    pub x: [u64; 4],
    /// As [`cpu::pstate`].
    pub pstate: u64,
    /// What `SDEI_EVENT_CONTEXT` says of x0 to x17.
    pub context: [u64; 18],
    /// ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1.
    pub exception: [u64; 4],
    /// What `FAULT_CURRENT` says.
    pub record: Option<Record>,
    /// What became of the deed: the status, or what a load came to.
    pub deed: i64,
    /// The exception that a load was answered with.
    pub fault: Option<Fault>,
    /// What was found behind [`End::Skip`].
    pub resumed: Option<Fault>,
}

/// What is to be done, and what was found, for one CPU and event.
#[derive(Clone, Copy, Default)]
struct Book {
    deed: Deed,
    end: End,
    visit: Visit,
}

struct Books(UnsafeCell<[[Option<Book>; 2]; MOST]>);

// SAFETY: each CPU uses its own, in volatile accesses of one book at a time.
unsafe impl Sync for Books {}

static BOOKS: Books = Books(UnsafeCell::new([[None; 2]; MOST]));

fn book(number: usize, event: u32) -> *mut Option<Book> {
    let books = BOOKS.0.get().cast::<Option<Book>>();
    books.wrapping_add(number.min(MOST - 1) * 2 + usize::from(event == FAULT))
}

fn read(event: u32) -> Book {
    // SAFETY: within the array; this CPU's own.
    unsafe { book(cpu::number(), event).read_volatile() }.unwrap_or_default()
}

fn write(event: u32, value: Book) {
    // SAFETY: as above.
    unsafe { book(cpu::number(), event).write_volatile(Some(value)) };
}

/// What the handler of `event` on this CPU is to do from now on. What it has found is forgotten.
pub fn plan(event: u32, deed: Deed, end: End) {
    let visit = Visit::default();
    write(event, Book { deed, end, visit });
}

/// What the handler of `event` on this CPU has found.
pub fn visit(event: u32) -> Visit {
    read(event).visit
}

/// An SDEI call's result.
pub fn ask(function: u32, arguments: &[u64]) -> i64 {
    call(function, arguments)[0] as i64
}

/// The argument that the handler is registered with.
pub fn argument(event: u32) -> u64 {
    0x5de1_0000 | (cpu::number() as u64) << 4 | u64::from(event == FAULT)
}

/// Where the handler is.
pub fn handler() -> u64 {
    lh_sdei_handler as *const () as u64
}

/// Registers the handler of `event` on this CPU.
pub fn register(event: u32) -> i64 {
    register_at(event, handler())
}

fn register_at(event: u32, handler: u64) -> i64 {
    ask(
        sdei::EVENT_REGISTER,
        &[u64::from(event), handler, argument(event), 0, 0],
    )
}

/// Registers and enables the handler of `event` on this CPU, and unmasks it. All was as it should be?
pub fn begin(event: u32) -> bool {
    plan(event, Deed::Nothing, End::Complete);
    begin_at(event, handler())
}

/// The same with a handler whose first instructions stop the plugin's windows 1 to 3, and that goes on behind the instruction
/// that was interrupted.
pub fn begin_timed() -> bool {
    begin_at(FAULT, lh_sdei_timed as *const () as u64)
}

fn begin_at(event: u32, handler: u64) -> bool {
    register_at(event, handler) == sdei::SUCCESS
        && ask(sdei::EVENT_ENABLE, &[u64::from(event)]) == sdei::SUCCESS
        && ask(sdei::PE_UNMASK, &[]) == sdei::SUCCESS
}

/// Signals the software event to the CPU with that affinity.
pub fn signal(affinity: u64) -> i64 {
    ask(sdei::EVENT_SIGNAL, &[u64::from(SOFTWARE), affinity])
}

/// ESR_EL1, FAR_EL1, ELR_EL1 and SPSR_EL1, as they are.
pub fn exception() -> [u64; 4] {
    [
        crate::read_register!("esr_el1"),
        crate::read_register!("far_el1"),
        crate::read_register!("elr_el1"),
        crate::read_register!("spsr_el1"),
    ]
}

/// Called by the handler, with what it has saved of x0 to x18 and x30.
#[unsafe(no_mangle)]
extern "C" fn lh_sdei_event(frame: &mut [u64; 32]) {
    let [x0, x1, x2, x3, ..] = *frame;
    let event = x0 as u32;
    let mut book = read(event);
    book.visit.times += 1;
    if book.visit.times == 1 {
        book.visit.x = [x0, x1, x2, x3];
        look(&mut book.visit);
        write(event, book);
        act(event, &mut book);
    }
    write(event, book);
    let (function, to) = match book.end {
        End::Complete => (sdei::EVENT_COMPLETE, 0),
        End::Skip => (sdei::EVENT_COMPLETE_AND_RESUME, lh_resumed as *const () as u64),
    };
    let by_smc = call::conduit() == Conduit::Smc;
    frame[..3].copy_from_slice(&[u64::from(function), to, u64::from(by_smc)]);
}

fn look(visit: &mut Visit) {
    visit.pstate = cpu::pstate();
    visit.exception = exception();
    for (n, register) in visit.context.iter_mut().enumerate() {
        *register = call(sdei::EVENT_CONTEXT, &[n as u64])[0];
    }
    visit.record = vm::current_fault().ok();
}

fn act(event: u32, book: &mut Book) {
    match book.deed {
        Deed::Nothing => {}
        Deed::Load(address) => match probe::read(address, Width::Double) {
            Ok(value) => book.visit.deed = value as i64,
            Err(fault) => book.visit.fault = Some(fault),
        },
        Deed::Unregister => book.visit.deed = ask(sdei::EVENT_UNREGISTER, &[u64::from(event)]),
        Deed::Signal => book.visit.deed = signal(crate::read_register!("mpidr_el1") & 0xff_00ff_ffff),
    }
}

/// Where a handler comes to that was not let go.
#[unsafe(no_mangle)]
extern "C" fn lh_sdei_incomplete(status: i64) -> ! {
    crate::stop(format_args!("SDEI_EVENT_COMPLETE returned: {status}"))
}

/// Called by the vector: is this what [`End::Skip`] leads to?
pub(super) fn recover(frame: &mut Frame) -> bool {
    if frame.vector != super::RESUMED {
        return false;
    }
    let mut book = read(FAULT);
    book.visit.resumed = Some(frame.fault());
    write(FAULT, book);
    frame.elr += 4;
    true
}
