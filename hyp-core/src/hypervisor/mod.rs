//! EL2 as a whole: what boots, what takes the traps, and who holds which lock.
//!
//! Locks, in the order in which they are taken: `psci`, then `state`, then `iommu` or `memory`. `channel` is taken alone, and
//! traps only try it. None is held while the firmware is called for the host, and while a guest runs just the one of its
//! registers. Where firmware moves memory for EL2, `state` and `memory` are held for the bounded number of calls that this takes:
//! nobody may see the pages until it has.

mod decoy;
mod dump;
mod fault;
mod firmware;
mod guest;
mod host;
mod memory_calls;
mod memory_health;
mod power;
mod reclaim;
mod sdei;
mod start;
mod vendor;

use crate::Ownership;
use crate::arch::aarch64::{Cpu, GuestContext, IdRegisters, PerCpu, Stage2Registers, drain_rings};
use crate::board::{AttachedOf, Board, ConsoleOf, ControllerOf, FirmwareOf, InterruptsOf};
use crate::boot::Containment;
use crate::fault::{EntryFeatures, EntryRules, Faults, Policy, Record};
use crate::features::Features;
use crate::ffa::calls::Ffa;
use crate::layout::MAX_CPUS;
use crate::machine::{El2, Unit};
use crate::psci::Psci;
use crate::sdei::Dispatcher;
use crate::smc::Filter;
use crate::vm::{MAX_GUESTS, Vms};
use firmware::CallBuffers;
use memory_health::Health;
use spin::mutex::{SpinMutex, TicketMutex};
use spin::once::Once;

/// Bytes of log that a trap moves to the channel at most.
const DRAIN_BOUND: usize = 1024;

/// Events of the IOMMU that a trap looks at at most.
const EVENT_BOUND: usize = 16;

/// The log channel, and whose frame is half out.
struct Channel<C> {
    console: Option<C>,
    resume: Option<usize>,
}

/// What boot finds, and nothing changes after.
struct Facts<B: Board> {
    features: Features,
    rules: EntryRules,
    ids: IdRegisters,
    stage2: Stage2Registers,
    interrupts: InterruptsOf<B>,
    psci: TicketMutex<Psci<MAX_CPUS>>,
    firmware: Option<FirmwareOf<B>>,
}

/// The most leases at a time.
pub const MAX_LEASES: usize = 128;

/// Bytes of a guest's device tree.
const GUEST_TREE: usize = 8192;

/// What calls and faults change. What both need at once stands together, so that one base register reaches it.
#[repr(C)]
struct State {
    faults: Faults,
    ownership: Ownership<MAX_LEASES, MAX_GUESTS>,
    ffa: Ffa<MAX_LEASES, MAX_GUESTS>,
    vms: Vms,
    sdei: Dispatcher<Record, MAX_CPUS>,
    containment: Containment,
    calls: Filter,
    /// Where a guest's tree is made before it goes into the guest's memory.
    tree: [u8; GUEST_TREE],
}

/// The one who may change it.
type Locked<'a> = spin::mutex::TicketMutexGuard<'a, State>;

/// The hypervisor of a board. There is one, in a static that [`hypervisor!`](crate::hypervisor!) makes.
///
/// What faults need stands first, within reach of the base register.
#[repr(C)]
pub struct Hypervisor<B: Board> {
    state: TicketMutex<State>,
    facts: Once<Facts<B>>,
    unit: Unit<AttachedOf<B>>,
    /// Registers of the guests. Held by the CPU that runs one, and by who starts it.
    contexts: [SpinMutex<GuestContext>; MAX_GUESTS],
    channel: SpinMutex<Channel<ConsoleOf<B>>>,
    memory: SpinMutex<Option<ControllerOf<B>>>,
    health: Health,
    buffers: CallBuffers,
}

impl<B: Board> Default for Hypervisor<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Board> Hypervisor<B> {
    /// Before boot.
    pub const fn new() -> Self {
        Self {
            facts: Once::new(),
            state: TicketMutex::new(State {
                ownership: Ownership::new(),
                vms: Vms::new(),
                sdei: Dispatcher::new(),
                ffa: Ffa::new(),
                faults: Faults::new(Policy::DEFAULT, EntryRules::new(EntryFeatures::NONE), 0),
                containment: Containment::Refused,
                calls: Filter::new(),
                tree: [0; GUEST_TREE],
            }),
            unit: Unit::new(),
            contexts: [const { SpinMutex::new(GuestContext::new()) }; MAX_GUESTS],
            channel: SpinMutex::new(Channel {
                console: None,
                resume: None,
            }),
            memory: SpinMutex::new(None),
            health: Health::new(),
            buffers: CallBuffers::new(),
        }
    }

    fn facts(&self) -> &Facts<B> {
        // Boot sets it before the first host runs.
        match self.facts.get() {
            Some(facts) => facts,
            None => unreachable!("no VM runs before the boot is over"),
        }
    }

    fn machine(&self) -> El2<'_, Cpu, AttachedOf<B>, ControllerOf<B>> {
        El2::new(Cpu::this(), &self.unit, &self.memory)
    }

    /// Moves log frames to the channel, unless another CPU is at it.
    fn drain(&self, bound: usize) {
        if let Some(mut channel) = self.channel.try_lock() {
            let Channel { console, resume } = &mut *channel;
            if let Some(console) = console {
                drain_rings(console, resume, bound);
            }
        }
    }

    /// At the end of a trap: what it has logged, if anything, goes on its way.
    #[inline(always)]
    fn drain_if_pending(&self) {
        let ring = &PerCpu::this().log;
        if !ring.is_empty() {
            let lost = ring.take_lost();
            if lost != 0 {
                crate::log::warn!("log: {=u32} frames lost", lost);
            }
            self.drain(DRAIN_BOUND);
        }
    }
}

/// Makes the one hypervisor of an image, for the board type given, and the functions that the assembly calls.
#[macro_export]
macro_rules! hypervisor {
    ($board:ty) => {
        static HYPERVISOR: $crate::hypervisor::Hypervisor<$board> = $crate::hypervisor::Hypervisor::new();

        /// First Rust of the boot CPU, with the MMU off.
        #[unsafe(no_mangle)]
        extern "C" fn lh_boot_tables(device_tree: u64) {
            HYPERVISOR.boot_tables(device_tree);
        }

        /// The boot CPU with the MMU on.
        #[unsafe(no_mangle)]
        extern "C" fn lh_boot_main(device_tree: u64) -> ! {
            HYPERVISOR.boot_main(device_tree)
        }

        /// Whether the start code, entered at EL1, asks Gunyah to leave EL2.
        #[unsafe(no_mangle)]
        #[used]
        #[allow(non_upper_case_globals)]
        static lh_leave_gunyah: bool = <$board as $crate::board::Board>::CONFIG.entry.asks_gunyah();

        /// The boot CPU, where the image cannot run: says why, for a reason of the start code's.
        #[unsafe(no_mangle)]
        extern "C" fn lh_refuse(reason: u64, detail: u64) -> ! {
            $crate::hypervisor::Hypervisor::<$board>::refuse_entry(reason, detail)
        }

        /// A further CPU with the MMU on.
        #[unsafe(no_mangle)]
        extern "C" fn lh_secondary_main(index: usize) -> ! {
            HYPERVISOR.secondary_main(index)
        }

        /// An abort of the host's. Whether it is answered: else it is a trap like others.
        #[unsafe(no_mangle)]
        extern "C" fn lh_host_abort(frame: &mut $crate::arch::aarch64::AbortFrame) -> bool {
            HYPERVISOR.host_abort(frame)
        }

        /// A trap of the host's.
        #[unsafe(no_mangle)]
        extern "C" fn lh_host_sync(frame: &mut $crate::arch::aarch64::TrapFrame) {
            HYPERVISOR.host_sync(frame);
        }

        /// An exception of EL2's own.
        #[unsafe(no_mangle)]
        extern "C" fn lh_crash(vector: u64, sp: u64, frame_pointer: u64, link: u64) -> ! {
            HYPERVISOR.crash(vector, sp, frame_pointer, link)
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            HYPERVISOR.panicked(info)
        }
    };
}
