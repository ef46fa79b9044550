//! Boards as the core takes them, on models: the descriptions, configurations and the code in between are the image's own.

use crate::machine::{Machine, TwinBus};
use leasehold_boards::{Described, Description, QualcommBoard};
use leasehold_hal::SocError;
use leasehold_hyp_core::board::{Board, BoardConfig, ConsoleOf};
use leasehold_memory_map::MachineTree;
use leasehold_soc::qemu_virt::{self, QemuVirtConfig};
use leasehold_soc::qualcomm::{Port, Qualcomm};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

thread_local! {
    /// The machine that the calling thread boots: a board is a type, and has no place for one.
    static MACHINE: RefCell<Option<Arc<Machine>>> = const { RefCell::new(None) };
}

/// Makes `machine` the calling thread's.
pub fn use_machine(machine: &Arc<Machine>) {
    MACHINE.set(Some(Arc::clone(machine)));
}

fn bus() -> TwinBus {
    TwinBus(MACHINE.with_borrow(Clone::clone).expect("a machine to boot on"))
}

#[path = "../../../boards/qemu-virt/src"]
mod image {
    mod board;
    pub mod config;
}

/// QEMU's `virt` machine.
pub struct QemuVirt;

impl Board for QemuVirt {
    type Soc = qemu_virt::QemuVirt<TwinBus>;

    const CONFIG: BoardConfig = image::config::CONFIG;

    fn console() -> Result<ConsoleOf<Self>, SocError> {
        Ok(qemu_virt::QemuVirt::console_on(&bus())?)
    }

    fn soc(tree: &MachineTree<'_>) -> Result<Self::Soc, SocError> {
        qemu_virt::QemuVirt::over(QemuVirtConfig::from_tree(tree)?, bus())
    }
}

/// A board with a SoC of Qualcomm's.
pub struct QualcommTwin<D>(PhantomData<D>);

impl<D: Described> Board for QualcommTwin<D> {
    type Soc = Qualcomm<TwinBus>;

    const CONFIG: BoardConfig = <QualcommBoard<D> as Board>::CONFIG;

    fn console() -> Result<ConsoleOf<Self>, SocError> {
        let uart = D::BOARD.log_uart().ok_or(SocError::Mismatch(0))?;
        Ok(Port::init(&bus(), uart)?)
    }

    fn soc(tree: &MachineTree<'_>) -> Result<Self::Soc, SocError> {
        let soc = D::BOARD.soc().ok_or(SocError::Mismatch(0))?;
        let soc = Qualcomm::over(bus(), soc, D::BOARD.log_uart())?;
        soc.matches(tree)?;
        Ok(soc)
    }
}

#[path = "../../../boards/db410c/src/board.rs"]
mod db410c;
#[path = "../../../boards/db845c/src/board.rs"]
mod db845c;
#[path = "../../../boards/rb3gen2/src/board.rs"]
mod rb3gen2;
#[path = "../../../boards/rb5/src/board.rs"]
mod rb5;
#[path = "../../../boards/sm8550-hdk/src/board.rs"]
mod sm8550_hdk;
#[path = "../../../boards/sm8650-hdk/src/board.rs"]
mod sm8650_hdk;
#[path = "../../../boards/x1e80100-crd/src/board.rs"]
mod x1e80100_crd;

/// Makes a type of each description.
macro_rules! described {
    ($($type:ident $module:ident)+) => {
        $(
            #[doc = stringify!($module)]
            pub struct $type;

            impl Described for $type {
                const BOARD: &'static Description = &$module::BOARD;
            }
        )+
    };
}

described! {
    Db410c db410c
    Db845c db845c
    Rb3gen2 rb3gen2
    Rb5 rb5
    Sm8550Hdk sm8550_hdk
    Sm8650Hdk sm8650_hdk
    X1e80100Crd x1e80100_crd
}
