//! The host's PSCI (Arm DEN0022F.b): what EL2 answers, and what it has firmware do.
//!
//! EL2 stands between the host and firmware so that every CPU starts, and comes back from power down, in EL2. The
//! table here says which CPUs the host has; firmware has the last word on their power. Pure state: each call yields an
//! [`Action`] for `arch`, which reports back how firmware answered.
//!
//! The crate `arm-psci` (0.2) decodes the same calls, but takes every `power_state` for the extended StateID format: a
//! power down in the original format (bit 16, which QEMU and much firmware use) would read as a standby, and be relayed
//! with the host's own entry point.

use crate::log;
use heapless::Vec;
use leasehold_abi::{psci, smccc};
use leasehold_memory_map::{Address, Ipa};

/// The affinity fields of MPIDR_EL1: Aff3, Aff2, Aff1, Aff0. All other bits are zero in arguments (section 5.1.4).
const AFFINITY_MASK: u64 = 0xff_00ff_ffff;
/// Of a 32-bit call: Aff2, Aff1, Aff0.
const AFFINITY_MASK_32: u64 = 0x00ff_ffff;

/// How firmware wants `power_state` (section 5.4.2; bit 1 of what `PSCI_FEATURES` says of `CPU_SUSPEND`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StateFormat {
    /// StateType is bit 16.
    Original,
    /// StateType is bit 30.
    Extended,
}

impl StateFormat {
    /// StateType: the CPU loses its state, and starts at an entry point.
    const fn is_power_down(self, power_state: u32) -> bool {
        let bit = match self {
            Self::Original => 16,
            Self::Extended => 30,
        };
        power_state >> bit & 1 != 0
    }

    const fn feature_flags(self) -> i32 {
        match self {
            Self::Original => 0,
            Self::Extended => 1 << 1,
        }
    }
}

/// What firmware offers of what is optional. Found out at boot by `PSCI_FEATURES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Firmware {
    /// `CPU_SUSPEND`, with the format of its argument.
    pub suspend: Option<StateFormat>,
    /// `SYSTEM_RESET2`.
    pub reset2: bool,
}

/// Where the host wants a CPU to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entry {
    /// The address, in RAM of the host's own.
    pub address: Ipa,
    /// What it finds in `x0`.
    pub context: u64,
}

/// What is to be done about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Action {
    /// Nothing: `x0` is this.
    Return(i32),
    /// Note `entry` for CPU number `cpu`, have firmware start `mpidr` in EL2, and pass its answer to
    /// [`Psci::on_answered`].
    On {
        /// The CPU's number.
        cpu: usize,
        /// Its affinity.
        mpidr: u64,
        /// Where the host is to start there.
        entry: Entry,
    },
    /// Have firmware switch this CPU off. If it comes back, pass the answer to [`Psci::off_refused`].
    Off,
    /// Have firmware suspend this CPU, which keeps its state: `x0` is firmware's answer.
    Standby {
        /// The argument, as the host gave it.
        power_state: u32,
    },
    /// Note `entry` for this CPU and have firmware power it down, to wake in EL2. If it comes back, `x0` is firmware's
    /// answer.
    PowerDown {
        /// The argument, as the host gave it.
        power_state: u32,
        /// Where the host is to go on.
        entry: Entry,
    },
    /// Ask firmware for the `AFFINITY_INFO` of `mpidr` at level 0: `x0` is its answer.
    AffinityInfo {
        /// The CPU's affinity.
        mpidr: u64,
    },
    /// Have firmware switch the system off.
    SystemOff,
    /// Have firmware reset the system.
    SystemReset,
    /// Have firmware do an architectural warm reset (`SYSTEM_RESET2`, reset type 0). If it comes back, `x0` is its
    /// answer.
    WarmReset {
        /// The argument, as the host gave it.
        cookie: u64,
    },
}

/// Whether the host has a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Power {
    Off,
    OnPending,
    On,
}

#[derive(Clone, Copy, Debug)]
struct Cpu {
    mpidr: u64,
    power: Power,
}

/// The host's CPUs. One for all of them, behind a lock of `arch`'s.
#[derive(Debug)]
pub struct Psci<const CPUS: usize> {
    cpus: Vec<Cpu, CPUS>,
    firmware: Firmware,
}

/// There are more CPUs than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TooManyCpus;

impl<const CPUS: usize> Psci<CPUS> {
    /// No CPUs yet.
    #[must_use]
    pub const fn new(firmware: Firmware) -> Self {
        Self {
            cpus: Vec::new(),
            firmware,
        }
    }

    /// Adds the CPU of this MPIDR_EL1 value, and gives its number. The first one is the one that boots, and is on.
    ///
    /// # Errors
    /// [`TooManyCpus`].
    pub fn add(&mut self, mpidr: u64) -> Result<usize, TooManyCpus> {
        let cpu = Cpu {
            mpidr: mpidr & AFFINITY_MASK,
            power: if self.cpus.is_empty() { Power::On } else { Power::Off },
        };
        self.cpus.push(cpu).map_err(|_| TooManyCpus)?;
        Ok(self.cpus.len() - 1)
    }

    /// Decides on a call with `x0` to `x3` in `args`. `is_host_ram` says whether an address is in RAM that the host owns.
    /// The CPU that calls is on.
    pub fn call(&mut self, args: [u64; 4], is_host_ram: impl FnOnce(Ipa) -> bool) -> Action {
        let function = args[0] as u32;
        let narrow = |n: usize| args[n] & u64::from(u32::MAX);
        match function {
            psci::VERSION => Action::Return(psci::VERSION_1_1 as i32),
            psci::FEATURES => Action::Return(self.features(args[1] as u32)),
            psci::CPU_SUSPEND_32 => self.suspend(args[1] as u32, narrow(2), narrow(3), is_host_ram),
            psci::CPU_SUSPEND_64 => self.suspend(args[1] as u32, args[2], args[3], is_host_ram),
            psci::CPU_OFF => Action::Off,
            psci::CPU_ON_32 => self.on(narrow(1), AFFINITY_MASK_32, narrow(2), narrow(3), is_host_ram),
            psci::CPU_ON_64 => self.on(args[1], AFFINITY_MASK, args[2], args[3], is_host_ram),
            psci::AFFINITY_INFO_32 => self.affinity_info(narrow(1), AFFINITY_MASK_32, args[2] as u32),
            psci::AFFINITY_INFO_64 => self.affinity_info(args[1], AFFINITY_MASK, args[2] as u32),
            psci::MIGRATE_INFO_TYPE => Action::Return(psci::TOS_NOT_PRESENT),
            psci::SYSTEM_OFF => Action::SystemOff,
            psci::SYSTEM_RESET => Action::SystemReset,
            psci::SYSTEM_RESET2_32 => self.reset2(args[1] as u32, narrow(2)),
            psci::SYSTEM_RESET2_64 => self.reset2(args[1] as u32, args[2]),
            _ => {
                log::debug!("PSCI: the host calls {=u32:#x}, which is not offered", function);
                Action::Return(psci::NOT_SUPPORTED)
            }
        }
    }

    /// Firmware's answer to [`Action::On`]. Gives the host's `x0`.
    pub fn on_answered(&mut self, cpu: usize, answer: i32) -> i32 {
        if answer != psci::SUCCESS {
            log::warn!("PSCI: firmware does not start CPU {}: {}", cpu, answer);
            // The CPU may have arrived already, whatever firmware says.
            if let Some(cpu) = self.cpus.get_mut(cpu)
                && cpu.power == Power::OnPending
            {
                cpu.power = Power::Off;
            }
        }
        answer
    }

    /// CPU number `cpu` has arrived in EL2. Whether it was switched on: else it comes back from a power down.
    pub fn arrived(&mut self, cpu: usize) -> bool {
        let was = self
            .cpus
            .get_mut(cpu)
            .map(|cpu| core::mem::replace(&mut cpu.power, Power::On));
        was != Some(Power::On)
    }

    /// The number of the CPU with this affinity, if the host has it.
    #[must_use]
    pub fn number(&self, affinity: u64) -> Option<usize> {
        self.find(affinity, AFFINITY_MASK)
    }

    /// CPU number `cpu` is about to have firmware switch it off ([`Action::Off`]). From here on another CPU may start it.
    pub fn leaving(&mut self, cpu: usize) {
        self.set_power(cpu, Power::Off);
    }

    /// Firmware's answer to [`Action::Off`], of which there is none when it works. Gives the host's `x0`.
    pub fn off_refused(&mut self, cpu: usize, answer: i32) -> i32 {
        log::warn!("PSCI: firmware does not switch off CPU {}: {}", cpu, answer);
        self.set_power(cpu, Power::On);
        answer
    }

    fn set_power(&mut self, cpu: usize, power: Power) {
        if let Some(cpu) = self.cpus.get_mut(cpu) {
            cpu.power = power;
        }
    }

    /// The number of the CPU with this affinity: an argument of a call, with the bits that it may have.
    fn find(&self, affinity: u64, allowed: u64) -> Option<usize> {
        if affinity & !allowed != 0 {
            return None;
        }
        self.cpus.iter().position(|cpu| cpu.mpidr == affinity)
    }

    fn on(
        &mut self,
        target: u64,
        allowed: u64,
        address: u64,
        context: u64,
        is_host_ram: impl FnOnce(Ipa) -> bool,
    ) -> Action {
        let Some(number) = self.find(target, allowed) else {
            log::warn!("PSCI: CPU_ON of {=u64:#x}, which the host does not have", target);
            return Action::Return(psci::INVALID_PARAMETERS);
        };
        let cpu = &mut self.cpus[number];
        match cpu.power {
            Power::On => return Action::Return(psci::ALREADY_ON),
            Power::OnPending => return Action::Return(psci::ON_PENDING),
            Power::Off => {}
        }
        let Some(address) = entry_address(address, is_host_ram) else {
            return Action::Return(psci::INVALID_ADDRESS);
        };
        cpu.power = Power::OnPending;
        Action::On {
            cpu: number,
            mpidr: cpu.mpidr,
            entry: Entry { address, context },
        }
    }

    fn suspend(&self, power_state: u32, address: u64, context: u64, is_host_ram: impl FnOnce(Ipa) -> bool) -> Action {
        let Some(format) = self.firmware.suspend else {
            return Action::Return(psci::NOT_SUPPORTED);
        };
        if !format.is_power_down(power_state) {
            return Action::Standby { power_state };
        }
        match entry_address(address, is_host_ram) {
            Some(address) => Action::PowerDown {
                power_state,
                entry: Entry { address, context },
            },
            None => Action::Return(psci::INVALID_ADDRESS),
        }
    }

    /// Levels above 0 are optional since PSCI 1.0, and not offered (section 5.7.1).
    fn affinity_info(&self, target: u64, allowed: u64, level: u32) -> Action {
        let number = if level == 0 { self.find(target, allowed) } else { None };
        let Some(cpu) = number.map(|number| self.cpus[number]) else {
            return Action::Return(psci::INVALID_PARAMETERS);
        };
        match cpu.power {
            Power::On => Action::Return(psci::AFFINITY_ON),
            Power::OnPending => Action::Return(psci::AFFINITY_ON_PENDING),
            // A CPU that leaves is off once firmware says so.
            Power::Off => Action::AffinityInfo { mpidr: cpu.mpidr },
        }
    }

    fn reset2(&self, kind: u32, cookie: u64) -> Action {
        match (self.firmware.reset2, kind) {
            (false, _) => Action::Return(psci::NOT_SUPPORTED),
            (true, 0) => Action::WarmReset { cookie },
            // Vendor-specific kinds may do anything, to any memory.
            (true, _) => Action::Return(psci::INVALID_PARAMETERS),
        }
    }

    fn features(&self, function: u32) -> i32 {
        match function {
            psci::CPU_SUSPEND_32 | psci::CPU_SUSPEND_64 => self
                .firmware
                .suspend
                .map_or(psci::NOT_SUPPORTED, StateFormat::feature_flags),
            psci::SYSTEM_RESET2_32 | psci::SYSTEM_RESET2_64 if !self.firmware.reset2 => psci::NOT_SUPPORTED,
            psci::VERSION
            | psci::FEATURES
            | psci::CPU_OFF
            | psci::CPU_ON_32
            | psci::CPU_ON_64
            | psci::AFFINITY_INFO_32
            | psci::AFFINITY_INFO_64
            | psci::MIGRATE_INFO_TYPE
            | psci::SYSTEM_OFF
            | psci::SYSTEM_RESET
            | psci::SYSTEM_RESET2_32
            | psci::SYSTEM_RESET2_64
            | smccc::VERSION => 0,
            _ => psci::NOT_SUPPORTED,
        }
    }
}

/// An entry point that the host may have: instructions, in RAM of its own.
fn entry_address(raw: u64, is_host_ram: impl FnOnce(Ipa) -> bool) -> Option<Ipa> {
    let address = Ipa::checked(raw).filter(|a| a.is_aligned(4) && is_host_ram(*a));
    if address.is_none() {
        log::warn!("PSCI: the entry point {=u64:#x} is not in RAM of the host's", raw);
    }
    address
}

#[cfg(test)]
#[path = "psci_tests.rs"]
mod tests;
