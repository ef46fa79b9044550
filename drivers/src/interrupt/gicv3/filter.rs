//! What a host may do to a redistributor's control frame.
//!
//! With LPIs enabled the redistributor is a bus master that no SMMU contains: it reads a configuration table and writes
//! a pending table at addresses of the host's choice. So LPIs do not exist for the host: nothing says that there are
//! any, nothing that makes the redistributor use such a table gets through. All else passes, in the sizes that IHI 0069
//! has for this frame: 32 bits, and 64 for the registers of 64 bits (12.1.3; 8 and 16 bits are for other frames).

use super::registers::{
    GICR_CLRLPIR, GICR_CTLR, GICR_INVALLR, GICR_INVLPIR, GICR_MOVALLR, GICR_MOVLPIR, GICR_PENDBASER, GICR_PROPBASER,
    GICR_SETLPIR, GICR_TYPER,
};
use crate::mmio::Io;

/// Registers that read as zero and whose writes are dropped. Each is 64 bits wide.
const REFUSED: [usize; 8] = [
    GICR_SETLPIR.offset(),
    GICR_CLRLPIR.offset(),
    GICR_PROPBASER.offset(),
    GICR_PENDBASER.offset(),
    GICR_INVLPIR.offset(),
    GICR_INVALLR.offset(),
    GICR_MOVLPIR.offset(),
    GICR_MOVALLR.offset(),
];

/// The fields that read as zero and are written as zero, of the 32 bits at `offset`.
fn masked(offset: usize) -> u32 {
    const CTLR: usize = GICR_CTLR.offset();
    const TYPER: usize = GICR_TYPER.offset();
    match offset {
        CTLR => (GICR_CTLR::EnableLPIs::SET + GICR_CTLR::CES::SET + GICR_CTLR::IR::SET).value,
        TYPER => {
            (GICR_TYPER::PLPIS::SET
                + GICR_TYPER::VLPIS::SET
                + GICR_TYPER::Dirty::SET
                + GICR_TYPER::DirectLPI::SET
                + GICR_TYPER::RVPEID::SET
                + GICR_TYPER::VSGI::SET)
                .value as u32
        }
        _ => 0,
    }
}

/// A permitted access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// 32 bits at this offset.
    Word(usize),
    /// All of GICR_TYPER.
    Typer,
}

/// The access as it may reach the frame, if it may.
fn permit(offset: u64, size: u8, frame: usize) -> Option<Access> {
    let offset = usize::try_from(offset).ok()?;
    match size {
        4 if offset.is_multiple_of(4) && offset < frame && !REFUSED.contains(&(offset & !7)) => {
            Some(Access::Word(offset))
        }
        8 if offset == GICR_TYPER.offset() => Some(Access::Typer),
        _ => None,
    }
}

/// Answers a host's read of `size` bytes at `offset` into the control frame behind `io`, `frame` bytes long.
pub fn read(io: &impl Io, frame: usize, offset: u64, size: u8) -> u64 {
    match permit(offset, size, frame) {
        Some(Access::Word(offset)) => u64::from(io.load::<u32>(offset) & !masked(offset)),
        Some(Access::Typer) => {
            let offset = GICR_TYPER.offset();
            io.load::<u64>(offset) & !u64::from(masked(offset))
        }
        None => 0,
    }
}

/// Does a host's write to the control frame behind `io`, as far as it may, and says whether any of it was done.
pub fn write(io: &impl Io, frame: usize, offset: u64, size: u8, value: u64) -> bool {
    match permit(offset, size, frame) {
        Some(Access::Word(offset)) => {
            io.store(offset, value as u32 & !masked(offset));
            true
        }
        // GICR_TYPER is read only.
        Some(Access::Typer) | None => false,
    }
}
