//! A run of a guest: everything that it does until the host is needed.

use super::Hypervisor;
use super::fault::Transfer;
use super::host::{NOT_SUPPORTED, arch_call, is_ffa, is_id_register, undefined, write_uid};
use crate::arch::aarch64::{Exit, Run, Stage2Registers};
use crate::board::Board;
use crate::fault::{Access, Delivery, Mechanism};
use crate::pl011::BadAccess;
use crate::trap::{Esr, Hpfar, SysReg, SysRegIss, Trap, WaitKind};
use crate::vm::VmError;
use crate::{GuestPage, VmId};
use leasehold_abi::{psci, smccc, vendor};
use leasehold_hal::InterruptController;
use leasehold_memory_map::{Address, Ipa};

/// EL2's own timer at the interrupt controller: PPI 10, as the base system architecture has it (DEN0094, 4.1.5).
const EL2_TIMER: u32 = 26;

/// Where a guest sees its UART.
const UART: Ipa = Ipa::new(0x0900_0000);

/// Why the host has its CPU back.
pub(super) struct RunEnd {
    /// One of the ABI's exit reasons.
    pub reason: u64,
    /// What belongs to it.
    pub details: [u64; 3],
}

impl RunEnd {
    const fn because(reason: u64) -> Self {
        Self {
            reason,
            details: [0; 3],
        }
    }

    /// Whether the guest is not to run again.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self.reason,
            vendor::EXIT_OFF | vendor::EXIT_RESET | vendor::EXIT_CRASHED | vendor::EXIT_TAKEN
        )
    }
}

impl<B: Board> Hypervisor<B> {
    /// Runs `id` until the host is needed.
    pub(super) fn run_guest(&self, id: VmId) -> Result<RunEnd, VmError> {
        let missing = VmError::NoSuchVm(id.endpoint());
        let facts = self.facts();
        let context = id.slot().and_then(|slot| self.contexts.get(slot)).ok_or(missing)?;
        let stage2 = {
            let mut state = self.state.lock();
            let root = state.ownership.guest_root(id).map_err(|_| missing)?;
            let geometry = state.ownership.guest_geometry().ok_or(missing)?;
            state.vms.begin_run(id)?;
            Stage2Registers::new(&geometry, root, id.vmid(), &facts.features)
        };
        // Nobody else takes it: the guest was ready, and is running from here on.
        let mut context = context.lock();
        let mut run = Run::enter(&mut context, &stage2, &facts.stage2, &facts.features);
        let alarm = run.needs_alarm();
        if alarm {
            facts.interrupts.set_private_enabled(EL2_TIMER, true);
        }
        let end = loop {
            let end = match run.resume() {
                Exit::Interrupt | Exit::SError => Some(RunEnd::because(vendor::EXIT_INTERRUPT)),
                Exit::Sync { esr, far, hpfar } => self.guest_trap(id, &mut run, Esr::new(esr), far, hpfar),
            };
            if let Some(end) = end {
                break end;
            }
        };
        run.leave();
        if alarm {
            facts.interrupts.set_private_enabled(EL2_TIMER, false);
        }
        drop(context);
        self.state.lock().vms.end_run(id, end.is_final());
        Ok(end)
    }

    /// What a guest did that came to EL2. `Some` when the host is needed.
    fn guest_trap(&self, id: VmId, run: &mut Run<'_>, esr: Esr, far: u64, hpfar: u64) -> Option<RunEnd> {
        match esr.trap() {
            Trap::Hvc(0) => return self.guest_call(id, run),
            Trap::Smc(0) => {
                run.context().skip();
                return self.guest_call(id, run);
            }
            Trap::Hvc(_) => run.context().x[0] = NOT_SUPPORTED,
            Trap::Smc(_) => {
                run.context().skip();
                run.context().x[0] = NOT_SUPPORTED;
            }
            Trap::Wfx(iss) => {
                run.context().skip();
                // Events are not kept from guests: a WFE is over at once.
                let waits = matches!(iss.ti(), WaitKind::Wfi | WaitKind::Wfit);
                return waits.then(|| RunEnd::because(vendor::EXIT_WAIT));
            }
            Trap::FpSimd => run.use_simd(),
            Trap::SysReg(iss) => self.guest_sysreg(run, iss),
            Trap::DataAbort(_) | Trap::InstructionAbort(_) => return self.guest_abort(id, run, esr, far, hpfar),
            Trap::Sve | Trap::Sme | Trap::PointerAuthentication => self.guest_undefined(run),
            other @ Trap::Other(_) => {
                crate::log::debug!("vm {}: {}", id, other);
                self.guest_undefined(run);
            }
        }
        None
    }

    fn guest_undefined(&self, run: &mut Run<'_>) {
        let exception = undefined(&self.facts().rules, &run.context().origin());
        run.context().deliver(&exception);
    }

    fn guest_sysreg(&self, run: &mut Run<'_>, iss: SysRegIss) {
        let register = iss.register();
        if iss.is_read() {
            let value = if is_id_register(register) {
                Some(self.facts().ids.guest(register.crm(), register.op2()))
            } else {
                reads_as_zero(register).then_some(0)
            };
            match (value, run.context().x.get_mut(usize::from(iss.rt()))) {
                (None, _) => return self.guest_undefined(run),
                (Some(value), Some(target)) => *target = value,
                (Some(_), None) => {}
            }
        } else if !ignores_writes(register) {
            return self.guest_undefined(run);
        }
        run.context().skip();
    }

    /// The UART, or what the architecture has for an access to nothing.
    fn guest_abort(&self, id: VmId, run: &mut Run<'_>, esr: Esr, far: u64, hpfar: u64) -> Option<RunEnd> {
        let context = run.context();
        let access = Access::decode(esr, far, Hpfar::new(hpfar), context.state)?;
        let origin = context.origin();
        if access.page == Some(UART)
            && let Some(transfer) = Transfer::decode(&access)
            && let Ok(end) = self.guest_uart(id, run, &transfer, far & 0xfff)
        {
            return end;
        }
        let has = access
            .page
            .map(|page| self.state.lock().ownership.guest_page(&self.machine(), id, page));
        match has {
            // It was broken up into pages meanwhile: the access is made again.
            Some(GuestPage::Mapped) => return None,
            Some(GuestPage::Taken) => {
                crate::log::warn!(
                    "vm {}: touches {}, which was taken from it: ESR_EL2={=u64:#x} PC={=u64:#x}",
                    id,
                    access.page,
                    esr.raw(),
                    origin.elr
                );
                return Some(RunEnd {
                    reason: vendor::EXIT_TAKEN,
                    details: [esr.raw(), access.ipa().map_or(u64::MAX, Address::get), origin.elr],
                });
            }
            Some(GuestPage::Nothing) | None => {}
        }
        // A guest whose handler cannot be fetched would take the same abort for ever.
        if access.fetch && origin.elr & !0x7ff == origin.vbar & !0x7ff {
            crate::log::warn!(
                "vm {}: no handler: ESR_EL2={=u64:#x} page={} PC={=u64:#x}",
                id,
                esr.raw(),
                access.page,
                origin.elr
            );
            let page = access.page.map_or(u64::MAX, Address::get);
            return Some(RunEnd {
                reason: vendor::EXIT_CRASHED,
                details: [esr.raw(), page, origin.elr],
            });
        }
        crate::log::debug!("vm {}: nothing at {}, PC={=u64:#x}", id, access.page, origin.elr);
        if let Delivery::Exception(exception) =
            Mechanism::EXTERNAL_ABORT.deliver(&access, &self.facts().rules, || origin)
        {
            run.context().deliver(&exception);
        }
        None
    }

    /// A load or store of the UART's.
    fn guest_uart(
        &self,
        id: VmId,
        run: &mut Run<'_>,
        transfer: &Transfer,
        at: u64,
    ) -> Result<Option<RunEnd>, BadAccess> {
        let context = run.context();
        let mut end = None;
        {
            let mut state = self.state.lock();
            // The guest runs, so it is there.
            let Ok(vm) = state.vms.get_mut(id) else { return Ok(None) };
            if !transfer.is_store {
                transfer.incoming(&mut context.x, vm.uart.read(at, transfer.size)?);
            } else if let Some(byte) = vm.uart.write(at, transfer.size, transfer.outgoing(&context.x))? {
                vm.console.push(byte);
                if let Some(line) = vm.uart.line() {
                    say(id, line);
                }
                let wants_reader = vm.console.is_nearly_full() || byte == b'\n';
                end = wants_reader.then(|| RunEnd::because(vendor::EXIT_CONSOLE));
            }
        }
        context.skip();
        Ok(end)
    }

    fn guest_call(&self, id: VmId, run: &mut Run<'_>) -> Option<RunEnd> {
        let context = run.context();
        let function = context.x[0] as u32;
        match function {
            psci::VERSION => context.x[0] = u64::from(psci::VERSION_1_1),
            psci::FEATURES => context.x[0] = guest_psci_feature(context.x[1] as u32),
            psci::MIGRATE_INFO_TYPE => context.x[0] = psci::TOS_NOT_PRESENT as u64,
            psci::AFFINITY_INFO_32 | psci::AFFINITY_INFO_64 => context.x[0] = affinity_info(context.x[1], context.x[2]),
            psci::CPU_ON_32 | psci::CPU_ON_64 => context.x[0] = cpu_on(context.x[1]),
            psci::CPU_SUSPEND_32 | psci::CPU_SUSPEND_64 => {
                context.x[0] = psci::SUCCESS as u64;
                return Some(RunEnd::because(vendor::EXIT_WAIT));
            }
            // Its only CPU.
            psci::CPU_OFF | psci::SYSTEM_OFF => return Some(RunEnd::because(vendor::EXIT_OFF)),
            psci::SYSTEM_RESET | psci::SYSTEM_RESET2_32 | psci::SYSTEM_RESET2_64 => {
                return Some(RunEnd::because(vendor::EXIT_RESET));
            }
            smccc::VERSION | smccc::ARCH_FEATURES => {
                context.x[0] = arch_call(function, context.x[1] as u32);
            }
            smccc::VENDOR_HYP_CALL_UID => {
                write_uid(&mut context.x);
            }
            _ if is_ffa(function) => self.guest_ffa(id, run),
            _ => context.x[0] = NOT_SUPPORTED,
        }
        None
    }
}

/// A line of a guest's console, in the log.
pub(super) fn say(id: VmId, line: &[u8]) {
    // The decoder knows a guest's console by this text.
    defmt::println!("console vm={=u8} {=[u8]:a}", id.endpoint() as u8, line);
}

/// Puts what a guest has written without ending the line into the log.
pub(super) fn say_rest(id: VmId, uart: &mut crate::pl011::Pl011) {
    if let Some(rest) = uart.take_rest() {
        say(id, rest);
    }
}

/// PSCI_FEATURES for a guest (DEN0022 section 5.15).
fn guest_psci_feature(function: u32) -> u64 {
    match function {
        psci::VERSION
        | psci::FEATURES
        | psci::MIGRATE_INFO_TYPE
        | psci::AFFINITY_INFO_32
        | psci::AFFINITY_INFO_64
        | psci::CPU_ON_32
        | psci::CPU_ON_64
        | psci::CPU_OFF
        | psci::CPU_SUSPEND_32
        | psci::CPU_SUSPEND_64
        | psci::SYSTEM_OFF
        | psci::SYSTEM_RESET
        | psci::SYSTEM_RESET2_32
        | psci::SYSTEM_RESET2_64
        | smccc::VERSION => psci::SUCCESS as u64,
        _ => NOT_SUPPORTED,
    }
}

/// AFFINITY_INFO: a guest has the CPU with affinity 0, and asks with it.
fn affinity_info(target: u64, lowest_level: u64) -> u64 {
    if target == 0 && lowest_level <= 3 {
        psci::AFFINITY_ON as u64
    } else {
        psci::INVALID_PARAMETERS as i64 as u64
    }
}

fn cpu_on(target: u64) -> u64 {
    let status = if target == 0 {
        psci::ALREADY_ON
    } else {
        psci::INVALID_PARAMETERS
    };
    i64::from(status) as u64
}

/// Registers that trap and that a guest may read as zero: REVIDR_EL1, AIDR_EL1, ACTLR_EL1, MDSCR_EL1, OSLSR_EL1.
fn reads_as_zero(register: SysReg) -> bool {
    const ZERO: [SysReg; 5] = [
        SysReg::new(3, 0, 0, 0, 6),
        SysReg::new(3, 1, 0, 0, 7),
        SysReg::new(3, 0, 1, 0, 1),
        SysReg::new(2, 0, 0, 2, 2),
        SysReg::new(2, 0, 1, 1, 4),
    ];
    ZERO.contains(&register)
}

/// Registers and operations whose writes do nothing for a guest: ACTLR_EL1, MDSCR_EL1, OSLAR_EL1, OSDLR_EL1, and cache
/// maintenance by set and way, which says nothing about memory on a machine that others use too.
fn ignores_writes(register: SysReg) -> bool {
    const IGNORED: [SysReg; 7] = [
        SysReg::new(3, 0, 1, 0, 1),
        SysReg::new(2, 0, 0, 2, 2),
        SysReg::new(2, 0, 1, 0, 4),
        SysReg::new(2, 0, 1, 3, 4),
        SysReg::new(1, 0, 7, 6, 2),
        SysReg::new(1, 0, 7, 10, 2),
        SysReg::new(1, 0, 7, 14, 2),
    ];
    IGNORED.contains(&register)
}
