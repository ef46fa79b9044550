//! The core's view of a board with a SoC of Qualcomm's.

use crate::{Description, Firmware, Lists};
use core::marker::PhantomData;
use leasehold_hal::{SmcPolicy, Soc, SocError};
use leasehold_hyp_core::board::{Board, BoardConfig};
use leasehold_memory_map::{Kept, MachineTree, PhysRange};
use leasehold_soc::description::{Gic, SocDescription, Uart};
use leasehold_soc::list::List;
use leasehold_soc::qualcomm::{self, Identity, Port, Qualcomm};

/// What has been verified of a board that this project has never had in its hands.
pub const TREE_AND_MODELS: &[&str] = &["constants: against its device trees", "drivers and boot: on models"];

/// A description, as a type.
pub trait Described: Sync + 'static {
    /// The board.
    const BOARD: &'static Description;
}

/// The board that `D` describes.
pub struct QualcommBoard<D>(PhantomData<D>);

impl<D> QualcommBoard<D> {
    /// The board.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<D> Default for QualcommBoard<D> {
    fn default() -> Self {
        Self::new()
    }
}

/// The SoC and its log channel.
const fn parts(board: &Description) -> (&'static SocDescription, &'static Uart) {
    match (board.soc(), board.log_uart()) {
        (Some(soc), Some(uart)) => (soc, uart),
        _ => panic!("the board has no SoC of Qualcomm's"),
    }
}

/// What EL2 itself uses ([`qualcomm::registers`]).
#[must_use]
pub const fn registers(board: &Description) -> List<PhysRange, 16> {
    let (soc, uart) = parts(board);
    qualcomm::registers(soc, Some(uart))
}

/// The most nodes that a board keeps from the host.
pub const MAX_KEPT: usize = 40;

/// The nodes that the host does not get: EL2's log channel, SMMUs but those that are the host's, ITSs, and what is withheld.
#[must_use]
pub const fn kept(board: &Description) -> List<Kept<'static>, MAX_KEPT> {
    let (soc, uart) = parts(board);
    let mut kept = List::new(Kept::Path("/"));
    if let Some(node) = uart.block.source.node() {
        kept = kept.with(Kept::Path(node));
    }
    let mut n = 0;
    while n < soc.smmus.len() {
        if let (Some(node), false) = (soc.smmus[n].block.source.node(), soc.smmus[n].is_hosts()) {
            kept = kept.with(Kept::Path(node));
        }
        n += 1;
    }
    if let Gic::V3 { .. } = soc.gic {
        kept = kept.with(Kept::Compatible("arm,gic-v3-its"));
    }
    let mut n = 0;
    while n < soc.withheld.len() {
        kept = kept.with_all(soc.withheld[n].nodes);
        n += 1;
    }
    kept
}

impl<D: Described> QualcommBoard<D> {
    const REGISTERS: &'static List<PhysRange, 16> = &registers(D::BOARD);
    const KEPT: &'static List<Kept<'static>, MAX_KEPT> = &kept(D::BOARD);
    const UNCONTAINED: &'static List<&'static str, 32> = &parts(D::BOARD).0.uncontained_names();
}

impl<D: Described> Board for QualcommBoard<D> {
    type Soc = Qualcomm;

    const CONFIG: BoardConfig = D::BOARD.config(&Lists {
        registers: Self::REGISTERS.as_slice(),
        ram: parts(D::BOARD).0.ram,
        kept: Self::KEPT.as_slice(),
        uncontained: Self::UNCONTAINED.as_slice(),
        smc: match D::BOARD.firmware {
            Firmware::Psci => SmcPolicy::NONE,
            Firmware::Qualcomm => parts(D::BOARD).0.scm.policy,
        },
    });

    fn console() -> Result<<Self::Soc as Soc>::Console, SocError> {
        // SAFETY: this image is for the board; the core calls this once, with `CONFIG.registers` mapped for good.
        let bus = unsafe { Identity::new() };
        Ok(Port::init(&bus, parts(D::BOARD).1)?)
    }

    fn soc(tree: &MachineTree<'_>) -> Result<Qualcomm, SocError> {
        // SAFETY: as above; the core calls this once, after it has mapped the image and `CONFIG.registers` for good, and
        // drives interrupt controller and SMMUs through what it gets here alone.
        let bus = unsafe { Identity::new() };
        let (soc, uart) = parts(D::BOARD);
        let soc = Qualcomm::over(bus, soc, Some(uart))?;
        soc.matches(tree)?;
        Ok(soc)
    }
}
