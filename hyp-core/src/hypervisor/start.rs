//! CPUs on their way to the host.

use super::{Facts, Hypervisor};
use crate::arch::aarch64::{self as arch, BootCpu, IdRegisters, PerCpu, Stage2Registers};
use crate::board::Board;
use crate::boot::{self, BootError, Booted, Parts};
use leasehold_hal::{InterruptController, Soc, Vmid};
use leasehold_memory_map::{Address, Ipa, MemoryMap, RegionKind};
use spin::mutex::TicketMutex;

impl<B: Board> Hypervisor<B> {
    /// With the MMU off: makes EL2's first map.
    pub fn boot_tables(&self, device_tree: u64) {
        arch::make_tables(device_tree, B::CONFIG.registers);
    }

    /// With the MMU off, at any exception level, at any address: says why the image cannot run.
    pub fn refuse_entry(reason: u64, detail: u64) -> ! {
        arch::refuse(reason, detail, B::CONFIG.load_address, B::console().ok().as_mut())
    }

    /// With the MMU on: everything up to the host.
    pub fn boot_main(&self, device_tree: u64) -> ! {
        self.channel.lock().console = B::console().ok();
        let hand_over = arch::hand_over();
        crate::log::debug!("{}", hand_over);
        if arch::vhe_only() {
            crate::log::error!("EL2 stopped: {}", BootError::VheOnly);
            self.last_words();
        }
        let booted = {
            let mut state = self.state.lock();
            let parts = Parts {
                ownership: &mut state.ownership,
                unit: &self.unit,
                memory: &self.memory,
            };
            boot::run::<B, _, _, _>(&BootCpu::this(), device_tree, parts)
        };
        let Ok(booted) = booted else { self.last_words() };
        if hand_over.caches {
            clean_payloads(&booted.map);
        }
        let host = booted.host;
        self.take_facts(booted);
        self.drain(usize::MAX);
        arch::start_host(host.entry, host.tree.get())
    }

    /// What the boot has found becomes what traps know.
    fn take_facts(&self, booted: Booted<B>) {
        let Booted {
            features,
            rules,
            policy,
            containment,
            stage2,
            interrupts,
            psci,
            mut soc,
            ..
        } = booted;
        let mut state = self.state.lock();
        state.containment = containment;
        state.faults.configure(policy, rules, arch::counter_frequency());
        self.facts.call_once(|| Facts {
            features,
            rules,
            ids: IdRegisters::read(),
            stage2: Stage2Registers::new(&stage2.geometry, stage2.root, Vmid::HOST, &features),
            interrupts,
            psci: TicketMutex::new(psci),
            firmware: soc.firmware(),
        });
    }

    /// A further CPU, which the host has asked for.
    pub fn secondary_main(&self, index: usize) -> ! {
        arch::install(index);
        let facts = self.facts();
        arch::init_cpu(&facts.features, &facts.stage2);
        if let Err(error) = facts.interrupts.init_cpu() {
            crate::log::error!("EL2 stopped: CPU {=usize}: {}", index, error);
            self.last_words();
        }
        let (entry, argument) = PerCpu::this().host_entry();
        if facts.psci.lock().arrived(index) {
            self.state.lock().sdei.reset(index);
        }
        crate::log::info!("CPU {=usize}: host starts at {=u64:#x}", index, entry);
        self.drain_if_pending();
        arch::start_host(Ipa::checked(entry).unwrap_or(Ipa::new(0)), argument)
    }
}

/// What the loader has put into RAM for the host may be in its cache still, and the host starts with caches off.
fn clean_payloads(map: &MemoryMap) {
    let payloads = map
        .regions()
        .iter()
        .filter(|region| matches!(region.kind, RegionKind::Payload(_)));
    payloads.for_each(|region| arch::clean(region.range));
}
