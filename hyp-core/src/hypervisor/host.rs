//! Traps of the host.

use super::{FirmwareOf, Hypervisor};
use crate::arch::aarch64::{self as arch, PerCpu, TrapFrame};
use crate::board::Board;
use crate::fault::{EntryRules, Exception, OriginState, Syndrome, take};
use crate::trap::{Esr, FaultStatus, SysReg, SysRegIss, Trap};
use leasehold_abi::{sdei, smccc, vendor};
use leasehold_hal::Firmware;

/// SMCCC owning entity numbers, bits 29:24 of a function id (DEN0028 section 2.5).
mod owner {
    pub const ARCH: u32 = 0;
    pub const STANDARD: u32 = 4;
    pub const VENDOR_HYP: u32 = 6;
}

/// What an unknown function id returns, whoever calls.
pub(super) const NOT_SUPPORTED: u64 = smccc::NOT_SUPPORTED as i64 as u64;

impl<B: Board> Hypervisor<B> {
    /// Whatever the host did that came to EL2.
    #[inline(always)]
    pub fn host_sync(&self, frame: &mut TrapFrame) {
        match Esr::new(frame.back.esr).trap() {
            Trap::Hvc(0) => self.host_call(frame),
            Trap::Smc(0) => {
                frame.back.skip();
                self.host_call(frame);
            }
            // The calling convention has no other immediates (DEN0028 section 2.9).
            Trap::Hvc(_) => frame.x[0] = NOT_SUPPORTED,
            Trap::Smc(_) => {
                frame.back.skip();
                frame.x[0] = NOT_SUPPORTED;
            }
            Trap::DataAbort(_) | Trap::InstructionAbort(_) => self.other_abort(frame),
            Trap::SysReg(iss) => self.host_sysreg(frame, iss),
            other => {
                crate::log::warn!("host: trap that nobody asked for: {}", other);
                self.host_undefined(frame);
            }
        }
        if PerCpu::this().is_event_due() {
            self.enter_due(frame);
        }
        self.drain_if_pending();
    }

    #[inline(always)]
    fn host_call(&self, frame: &mut TrapFrame) {
        // Bits 63:32 are not part of a function id (DEN0028 section 2.5).
        let function = frame.x[0] as u32;
        let number = function & 0xffff;
        let fast = function & 1 << 31 != 0;
        match (function >> 24) & 0x3f {
            owner::STANDARD if fast && number <= 0x1f => self.host_psci(frame),
            owner::STANDARD if is_ffa(function) => self.host_ffa(frame),
            owner::STANDARD if is_sdei(function) => self.host_sdei(frame, function),
            owner::VENDOR_HYP if fast => self.host_vendor(frame, function),
            owner::ARCH if fast => frame.x[0] = arch_call(function, frame.x[1] as u32),
            _ => self.host_unknown(frame, function),
        }
    }

    /// A call that is nobody's here: the firmware's, where the board's has anything that the host may call.
    #[cold]
    pub(super) fn host_unknown(&self, frame: &mut TrapFrame, function: u32) {
        if FirmwareOf::<B>::PRESENT {
            return self.host_firmware(frame);
        }
        crate::log::debug!("host: unknown call {=u32:#x}", function);
        frame.x[0] = NOT_SUPPORTED;
    }

    /// ID registers, on machines whose memory tags the host is not to know of.
    #[inline(never)]
    fn host_sysreg(&self, frame: &mut TrapFrame, iss: SysRegIss) {
        let register = iss.register();
        if iss.is_read() && is_id_register(register) {
            let value = self.facts().ids.host(register.crm(), register.op2());
            if let Some(target) = frame.x.get_mut(usize::from(iss.rt())) {
                *target = value;
            }
            frame.back.skip();
        } else {
            crate::log::warn!("host: system register that it has not: {}", register);
            self.host_undefined(frame);
        }
    }

    fn host_undefined(&self, frame: &mut TrapFrame) {
        let exception = undefined(&self.facts().rules, &self.origin(&frame.back));
        arch::deliver(&mut frame.back, &exception);
    }
}

/// Whether `function` is a fast call of FF-A's: standard service 0x60 to 0xff, in either width (DEN0077A section 12).
pub(super) fn is_ffa(function: u32) -> bool {
    (0x60..=0xff).contains(&(function & 0xffff)) && function >> 24 & 0xbf == 0x84
}

/// Whether `function` is of SDEI's: standard service 0x20 to 0x3f, fast, in the 64-bit convention.
fn is_sdei(function: u32) -> bool {
    (sdei::VERSION..=sdei::LAST_FUNCTION).contains(&function)
}

/// The answer to the call that asks who is here, for the host and for guests.
pub(super) fn write_uid(registers: &mut [u64; 31]) {
    for (register, word) in registers.iter_mut().zip(vendor::UID) {
        *register = u64::from(word);
    }
}

/// Whether `register` is of group 3 of the ID registers (Arm ARM, HCR_EL2.TID3): S3_0_C0_C1_0 to S3_0_C0_C7_7.
pub(super) fn is_id_register(register: SysReg) -> bool {
    register.op0() == 3 && register.op1() == 0 && register.crn() == 0 && (1..=7).contains(&register.crm())
}

/// The exception for an instruction that does not exist (EC 0, IL set).
pub(super) fn undefined(rules: &EntryRules, origin: &OriginState) -> Exception {
    // FAR_EL1 becomes UNKNOWN: it stays as it is. The status is for External aborts, which this is not.
    let syndrome = Syndrome {
        esr: Esr::new(1 << 25),
        far: arch::far_el1(),
        status: FaultStatus::ALIGNMENT,
    };
    take(rules, origin, syndrome)
}

/// Architecture calls: version and features. No workarounds are offered: the firmware of the boards here has none.
pub(super) fn arch_call(function: u32, argument: u32) -> u64 {
    match function {
        smccc::VERSION => u64::from(smccc::VERSION_1_2),
        smccc::ARCH_FEATURES => match argument {
            smccc::VERSION | smccc::ARCH_FEATURES => smccc::SUCCESS as u64,
            _ => NOT_SUPPORTED,
        },
        _ => NOT_SUPPORTED,
    }
}
