//! The world switch: from the host to a guest and back, as one function call.
//!
//! Both use EL1, so its registers change hands. The guest has one CPU, no interrupt controller, no vectors beyond SIMD.

use super::barrier;
use super::fp::{self, SimdState};
use super::host::{self, CPTR_RES1, CPTR_TFP, CPTR_TSM, CPTR_TZ, Stage2Registers, hcr, hpfar};
use super::percpu::PerCpu;
use super::sysreg::{read, write};
use super::timer::VirtualTimer;
use crate::fault::{Exception, OriginState};
use crate::features::Features;

/// SPSR for a start: EL1 with SP_EL1, D, A, I and F masked.
const START_STATE: u64 = 0x3c5;

/// MDCR_EL2 for a guest: debug, OS lock, ROM table and performance monitors trap (TDE, TDA, TDOSA, TDRA, TPM, TPMCR).
const GUEST_MDCR: u64 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 8 | 1 << 6 | 1 << 5;

/// ICH_HCR_EL2: TC, TALL0, TALL1: every access to the interrupt interface traps.
const GUEST_ICH_HCR: u64 = 0b111 << 10;

macro_rules! el1_registers {
    ($($field:ident: $name:literal),+ $(,)?) => {
        /// The registers of EL1 and EL0 that a world has of its own.
        #[derive(Clone, Copy, Default)]
        #[repr(C)]
        struct El1State {
            $($field: u64),+
        }

        impl El1State {
            fn save() -> Self {
                Self { $($field: read!($name)),+ }
            }

            fn load(&self) {
                $(write!($name, self.$field);)+
            }
        }
    };
}

el1_registers! {
    sctlr: "sctlr_el1",
    cpacr: "cpacr_el1",
    ttbr0: "ttbr0_el1",
    ttbr1: "ttbr1_el1",
    tcr: "tcr_el1",
    esr: "esr_el1",
    afsr0: "afsr0_el1",
    afsr1: "afsr1_el1",
    far: "far_el1",
    mair: "mair_el1",
    amair: "amair_el1",
    vbar: "vbar_el1",
    contextidr: "contextidr_el1",
    tpidr_el0: "tpidr_el0",
    tpidrro_el0: "tpidrro_el0",
    tpidr_el1: "tpidr_el1",
    cntkctl: "cntkctl_el1",
    par: "par_el1",
    sp_el0: "sp_el0",
    sp_el1: "sp_el1",
    elr: "elr_el1",
    spsr: "spsr_el1",
    csselr: "csselr_el1",
    mdscr: "mdscr_el1",
}

/// Why a run came back to EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Exit {
    /// A synchronous exception, with its syndrome and addresses.
    Sync {
        /// ESR_EL2.
        esr: u64,
        /// FAR_EL2.
        far: u64,
        /// HPFAR_EL2.
        hpfar: u64,
    },
    /// A physical interrupt, for the host.
    Interrupt,
    /// A system error, for the host.
    SError,
}

/// A guest's CPU while it does not run.
#[repr(C)]
pub struct GuestContext {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Where it goes on.
    pub pc: u64,
    /// In what state (SPSR_EL2's format). Behind `pc`: the vectors load both at once.
    pub state: u64,
    el1: El1State,
    timer: VirtualTimer,
    simd: SimdState,
    /// Whether the guest's SIMD registers are in the CPU.
    simd_live: bool,
}

impl Default for GuestContext {
    fn default() -> Self {
        Self::new()
    }
}

impl GuestContext {
    /// A CPU that is off.
    pub const fn new() -> Self {
        // SAFETY: all fields are integers, arrays of integers and a bool, for which all-zero bytes are valid.
        unsafe { core::mem::zeroed() }
    }

    /// Makes it a CPU that has just come out of reset and starts at `entry` with `argument` in x0.
    pub fn reset(&mut self, entry: u64, argument: u64) {
        *self = Self::new();
        self.x[0] = argument;
        self.pc = entry;
        self.state = START_STATE;
        self.el1.sctlr = host::SCTLR_EL1_OFF;
    }

    /// What the exception-entry pseudocode asks of the state that an exception is taken from.
    pub fn origin(&self) -> OriginState {
        OriginState {
            spsr: self.state,
            elr: self.pc,
            vbar: self.el1.vbar,
            sctlr: self.el1.sctlr,
            // Kept from guests by HCRX_EL2.
            extras: None,
        }
    }

    /// Makes the guest continue in its own handler.
    pub fn deliver(&mut self, exception: &Exception) {
        self.el1.esr = exception.esr_el1;
        self.el1.far = exception.far_el1;
        self.el1.elr = exception.elr_el1;
        self.el1.spsr = exception.spsr_el1;
        self.pc = exception.pc;
        self.state = exception.pstate;
    }

    /// Steps over the instruction that trapped. All AArch64 instructions have four bytes.
    pub fn skip(&mut self) {
        self.pc = self.pc.wrapping_add(4);
    }
}

/// Enters EL1 or EL0 with what `context` has in `x`, `pc` and `state`, and writes there what they are when EL2 is back: 0
/// synchronously, 1 by interrupt, 2 by system error.
///
/// # Safety
/// `context` is exclusively the caller's, at least as far as these three fields, and what runs is kept in its memory.
pub(super) unsafe fn enter(context: *mut GuestContext) -> u64 {
    // SAFETY: as the caller upholds. The function saves and restores what Rust expects kept (AAPCS64 callee-saved
    // registers and sp); EL2 uses no SIMD registers.
    unsafe { lh_enter_guest(context) }
}

unsafe extern "C" {
    /// In `vectors`: enters the guest, and returns when it is left: 0 synchronously, 1 by interrupt, 2 by system error.
    fn lh_enter_guest(context: *mut GuestContext) -> u64;
}

/// What the host has in the registers that a run changes.
struct HostState {
    el1: El1State,
    timer: VirtualTimer,
}

/// A run: the guest's registers are in the CPU from [`enter`](Run::enter) to [`leave`](Run::leave), over any number of
/// [`resume`](Run::resume)s.
pub struct Run<'a> {
    host: HostState,
    context: &'a mut GuestContext,
    features: &'a Features,
    host_stage2: &'a Stage2Registers,
}

fn guest_hcr() -> u64 {
    hcr::VM
        | hcr::SWIO
        | hcr::FMO
        | hcr::IMO
        | hcr::AMO
        | hcr::TWI
        | hcr::TWE
        | hcr::TID0
        | hcr::TID1
        | hcr::TID3
        | hcr::TSC
        | hcr::TIDCP
        | hcr::TACR
        | hcr::TSW
        | hcr::RW
        | hcr::TLOR
        | hcr::TERR
}

impl<'a> Run<'a> {
    /// Puts the guest's registers into the CPU, and sets EL2's timer where the host's would ring.
    pub fn enter(
        context: &'a mut GuestContext,
        stage2: &Stage2Registers,
        host_stage2: &'a Stage2Registers,
        features: &'a Features,
    ) -> Self {
        let host = HostState {
            el1: El1State::save(),
            timer: VirtualTimer::save(),
        };
        write!("hcr_el2", guest_hcr());
        write!("vttbr_el2", stage2.vttbr);
        write!("vtcr_el2", stage2.vtcr);
        write!("cptr_el2", CPTR_RES1 | CPTR_TZ | CPTR_TSM | CPTR_TFP);
        write!("mdcr_el2", host::host_mdcr(features) & 0x1f | GUEST_MDCR);
        // CNTHCTL_EL2: the physical timer traps, the counter does not.
        write!("cnthctl_el2", 0b01);
        if features.hcx {
            write!("s3_4_c1_c2_2", 0);
        }
        if features.gic_sysregs {
            write!("s3_4_c12_c9_5", 0b0111);
            write!("s3_4_c12_c11_0", GUEST_ICH_HCR);
        }
        context.el1.load();
        context.timer.load();
        host.timer.alarm();
        barrier::isb();
        Self {
            host,
            context,
            features,
            host_stage2,
        }
    }

    /// Whether the host waits for its timer, so that EL2's must be able to end the run.
    pub fn needs_alarm(&self) -> bool {
        self.host.timer.is_armed()
    }

    /// Gives the guest the SIMD registers, which it has just asked for.
    pub fn use_simd(&mut self) {
        write!("cptr_el2", CPTR_RES1);
        barrier::isb();
        // SAFETY: the cell is this CPU's own, and no other reference to it is alive: see `PerCpu`'s Sync.
        fp::save_host(unsafe { &mut *PerCpu::this().host_fp.get() }, self.features);
        fp::load_guest(&self.context.simd);
        self.context.simd_live = true;
        // For the guest SVE and SME go on trapping.
        write!("cptr_el2", CPTR_RES1 | CPTR_TZ | CPTR_TSM);
        barrier::isb();
    }

    /// The guest's registers.
    pub fn context(&mut self) -> &mut GuestContext {
        self.context
    }

    /// Lets the guest run until something comes to EL2.
    pub fn resume(&mut self) -> Exit {
        // The guest's EL1 registers are in the CPU, so an exception for it was written to `context.el1`: load what
        // `deliver` changes. They are few, and cheaper to load always than to track.
        let el1 = &self.context.el1;
        write!("esr_el1", el1.esr);
        write!("far_el1", el1.far);
        write!("elr_el1", el1.elr);
        write!("spsr_el1", el1.spsr);
        // SAFETY: the context is exclusively borrowed, complete, and the guest's stage 2 keeps the guest in its memory.
        let why = unsafe { enter(self.context) };
        self.context.el1.refresh();
        match why {
            0 => Exit::Sync {
                esr: read!("esr_el2"),
                far: read!("far_el2"),
                hpfar: hpfar(),
            },
            1 => Exit::Interrupt,
            _ => Exit::SError,
        }
    }

    /// Takes the guest's registers out of the CPU and puts the host's back.
    pub fn leave(self) {
        let context = self.context;
        context.el1 = El1State::save();
        context.timer = VirtualTimer::save();
        if context.simd_live {
            write!("cptr_el2", CPTR_RES1);
            barrier::isb();
            fp::save_guest(&mut context.simd);
            // SAFETY: the cell is this CPU's own, and no other reference to it is alive: see `PerCpu`'s Sync.
            fp::load_host(unsafe { &*PerCpu::this().host_fp.get() }, self.features);
            context.simd_live = false;
        }
        host::host_world(self.features, self.host_stage2);
        self.host.el1.load();
        self.host.timer.load();
        barrier::isb();
    }
}

impl El1State {
    /// Takes what delivering an exception reads or writes; the rest stays in the CPU until the run ends.
    fn refresh(&mut self) {
        self.sctlr = read!("sctlr_el1");
        self.vbar = read!("vbar_el1");
        self.esr = read!("esr_el1");
        self.far = read!("far_el1");
        self.elr = read!("elr_el1");
        self.spsr = read!("spsr_el1");
    }
}
