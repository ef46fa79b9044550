//! PSCI (Arm DEN0022F.b), by the conduit of the tree.

use crate::arch::call::{self, Conduit};
use core::sync::atomic::{AtomicBool, Ordering};
use leasehold_abi::psci;

/// The call succeeded.
pub const SUCCESS: i32 = psci::SUCCESS;

static BY_SMC: AtomicBool = AtomicBool::new(false);

/// Sets the conduit.
pub fn set_conduit(by_smc: bool) {
    BY_SMC.store(by_smc, Ordering::Relaxed);
}

/// Makes a call, and gives its status.
pub fn call(function: u32, arguments: &[u64]) -> i32 {
    let mut registers = [0; 29];
    registers[0] = u64::from(function);
    registers[1..=arguments.len()].copy_from_slice(arguments);
    let conduit = if BY_SMC.load(Ordering::Relaxed) {
        Conduit::Smc
    } else {
        Conduit::Hvc
    };
    call::raw(conduit, &mut registers);
    registers[0] as i32
}

/// `CPU_ON`.
pub fn cpu_on(mpidr: u64, entry: u64, context: u64) -> i32 {
    call(psci::CPU_ON_64, &[mpidr, entry, context])
}

/// `SYSTEM_OFF`.
pub fn system_off() -> ! {
    call(psci::SYSTEM_OFF, &[]);
    loop {
        crate::arch::cpu::wfi();
    }
}
