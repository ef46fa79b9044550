//! One boot of a board, and what it has come to.

use crate::board::use_machine;
use crate::loader::{self, IMAGE_BYTES, Loaded};
use crate::log;
use crate::machine::{Machine, Trouble, UnitModel};
use crate::platform::{TwinCpu, TwinPlatform};
use crate::profile::Profile;
use leasehold_drivers::smmu::v3::model::SimMemory;
use leasehold_hal::{Console, SocError};
use leasehold_hyp_core::arch::build_machine;
use leasehold_hyp_core::board::{AttachedOf, Board, ControllerOf};
use leasehold_hyp_core::boot::{self, BootError, Booted, Parts};
use leasehold_hyp_core::{El2, Ownership, Unit};
use leasehold_memory_map::PhysRange;
use leasehold_trees::Tree;
use spin::mutex::SpinMutex;
use std::cell::RefCell;
use std::sync::Arc;

/// How often a channel is offered what it does not take, one time after the other.
const PATIENCE: usize = 1 << 20;

/// EL2, with the room that twins need.
pub type TwinOwnership = Ownership<8, 2>;

/// A board that has booted, or has not.
pub struct Twin<B: Board> {
    /// Its parts.
    pub machine: Arc<Machine>,
    /// Its CPU and memory.
    pub platform: TwinPlatform,
    /// What the loader left.
    pub loaded: Loaded,
    /// Who owns what.
    pub ownership: Box<TwinOwnership>,
    /// The IOMMU as EL2 has it.
    pub unit: Unit<AttachedOf<B>>,
    /// What moves memory between masters, where EL2 uses one.
    pub memory_controller: SpinMutex<Option<ControllerOf<B>>>,
    /// What came of the boot.
    pub booted: Result<Booted<B>, BootError>,
    /// What went out on the log channel, decoded.
    pub log: Vec<String>,
}

/// What a loader does wrong: to memory, to the tree's address in x0 and to its bytes.
pub type Spoiler<'a> = &'a dyn Fn(&SimMemory, &mut (u64, Vec<u8>));

/// What is to be tried.
pub struct Setting<'a> {
    /// The machine's tree, before the loader has it.
    pub tree: Tree,
    /// Figures.
    pub profile: &'static Profile,
    /// Makes the models, when the loader is done.
    pub machine: &'a dyn Fn(&Loaded, &SimMemory, PhysRange) -> Machine,
    /// What the loader does wrong at last: it may change memory, the tree as a blob, and what x0 says.
    pub spoil: Spoiler<'a>,
}

/// A loader that does nothing wrong.
pub fn nothing(_: &SimMemory, _: &mut (u64, Vec<u8>)) {}

/// How nothing misbehaves.
pub const SOUND: Trouble = Trouble::None;

impl<B: Board> Twin<B> {
    /// Loads the board and boots it.
    ///
    /// # Errors
    /// Why there is nothing to boot, or no log to read.
    pub fn boot(setting: Setting<'_>) -> Result<Self, String> {
        let memory = SimMemory::new();
        let image = PhysRange::new(B::CONFIG.load_address, IMAGE_BYTES).map_err(|error| format!("{error:?}"))?;
        let mut loaded = loader::load(setting.tree, setting.profile, image, &memory)?;
        let machine = Arc::new((setting.machine)(&loaded, &memory, image));
        (setting.spoil)(&memory, &mut loaded.blob);
        let platform = TwinPlatform {
            memory,
            image,
            tree: loaded.blob.clone(),
            profile: setting.profile,
            reached: RefCell::default(),
            stage2: RefCell::default(),
        };
        use_machine(&machine);
        drop(build_machine::take_log());
        let mut ownership = Box::new(Ownership::new());
        let unit = Unit::new();
        let memory_controller = SpinMutex::new(None);
        let parts = Parts {
            ownership: &mut *ownership,
            unit: &unit,
            memory: &memory_controller,
        };
        let mut console = B::console().map_err(|error: SocError| format!("there is no log channel: {error:?}"))?;
        let booted = boot::run::<B, _, _, _>(&platform, loaded.blob.0, parts);
        drain(&mut console)?;
        let log = log::lines(&machine.console.sent())?;
        Ok(Self {
            machine,
            platform,
            loaded,
            ownership,
            unit,
            memory_controller,
            booted,
            log,
        })
    }

    /// Stops the masters that firmware left running.
    pub fn stop_masters(&self) {
        for unit in &self.machine.units {
            if let Some(UnitModel::V2(model)) = &unit.model {
                model.stop_masters();
            }
        }
    }

    /// Who owns what, and the hands with which that changes.
    pub fn hands(&mut self) -> (&mut TwinOwnership, El2<'_, TwinCpu, AttachedOf<B>, ControllerOf<B>>) {
        let cpu = TwinCpu(self.platform.memory.clone());
        (&mut self.ownership, El2::new(cpu, &self.unit, &self.memory_controller))
    }
}

/// Sends what has been logged on the channel, as EL2 does.
fn drain(console: &mut impl Console) -> Result<(), String> {
    let frames = build_machine::take_log();
    let mut rest = &*frames;
    let mut refused = 0;
    while !rest.is_empty() {
        let taken = console.write_some(rest);
        rest = &rest[taken..];
        refused = if taken == 0 { refused + 1 } else { 0 };
        if refused > PATIENCE {
            return Err("the log channel takes nothing any more".into());
        }
    }
    Ok(())
}
