//! The host's power calls: decided in `psci`, done by the firmware, always through EL2.

use super::Hypervisor;
use crate::PageState;
use crate::arch::aarch64::{self as arch, PerCpu, TrapFrame};
use crate::board::Board;
use crate::psci::{Action, Entry};
use leasehold_abi::psci;
use leasehold_memory_map::Address;

impl<B: Board> Hypervisor<B> {
    #[inline(never)]
    pub(super) fn host_psci(&self, frame: &mut TrapFrame) {
        let [x0, x1, x2, x3, ..] = frame.x;
        let action = self.facts().psci.lock().call([x0, x1, x2, x3], |ipa| {
            let state = self.state.lock().ownership.host_page_state(&self.machine(), ipa.page());
            state == PageState::Owned
        });
        frame.x[0] = i64::from(self.act(action)) as u64;
    }

    /// Does it, and gives the host's x0 if the host goes on here.
    fn act(&self, action: Action) -> i32 {
        let facts = self.facts();
        let this = PerCpu::this();
        let ask = |arguments| arch::firmware(arguments)[0] as i32;
        match action {
            Action::Return(value) => value,
            Action::On { cpu, mpidr, entry } => {
                note(PerCpu::of(cpu), entry);
                let arguments = [u64::from(psci::CPU_ON_64), mpidr, arch::secondary_entry(), cpu as u64];
                let answer = ask(arguments);
                facts.psci.lock().on_answered(cpu, answer)
            }
            Action::Off => {
                crate::log::info!("CPU {=usize}: off", this.index());
                self.drain_if_pending();
                facts.psci.lock().leaving(this.index());
                let answer = ask([u64::from(psci::CPU_OFF), 0, 0, 0]);
                facts.psci.lock().off_refused(this.index(), answer)
            }
            Action::Standby { power_state } => ask([u64::from(psci::CPU_SUSPEND_64), u64::from(power_state), 0, 0]),
            Action::PowerDown { power_state, entry } => {
                note(Some(this), entry);
                let number = this.index() as u64;
                let arguments = [
                    u64::from(psci::CPU_SUSPEND_64),
                    u64::from(power_state),
                    arch::secondary_entry(),
                    number,
                ];
                ask(arguments)
            }
            Action::AffinityInfo { mpidr } => ask([u64::from(psci::AFFINITY_INFO_64), mpidr, 0, 0]),
            Action::SystemOff => self.system_ends("off", [u64::from(psci::SYSTEM_OFF), 0, 0, 0]),
            Action::SystemReset => self.system_ends("reset", [u64::from(psci::SYSTEM_RESET), 0, 0, 0]),
            Action::WarmReset { cookie } => ask([u64::from(psci::SYSTEM_RESET2_64), 0, cookie, 0]),
        }
    }

    /// The host is done with the machine.
    fn system_ends(&self, how: &'static str, arguments: [u64; 4]) -> i32 {
        self.look_at_events();
        crate::log::info!("host: system {=str}", how);
        self.drain(usize::MAX);
        arch::firmware(arguments);
        crate::log::error!("EL2 stopped: the firmware does not switch the system {=str}", how);
        self.last_words()
    }
}

fn note(cpu: Option<&PerCpu>, entry: Entry) {
    if let Some(cpu) = cpu {
        cpu.set_entry(entry.address.get(), entry.context);
    }
}
