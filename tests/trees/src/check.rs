//! A board, and a file that may be its tree.

use crate::difference::Difference;
use crate::tree::Tree;
use leasehold_boards::Description;
use leasehold_fdt::FdtError;
use leasehold_memory_map::{MachineTree, TreeError};
use thiserror::Error;

/// Why there is nothing to compare.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The board has none.
    #[error("{0} has no device tree to compare with: its loader, or QEMU, makes one")]
    NoTree(&'static str),
    /// The file is no tree.
    #[error("this is no device tree: {}", told(.0))]
    NotATree(FdtError),
    /// It is one, but not one that EL2 could read.
    #[error("EL2 could not read this device tree: {0:?}")]
    Unreadable(TreeError),
}

/// What is wrong with a blob, for a person.
fn told(error: &FdtError) -> String {
    match error {
        FdtError::Magic(found) => format!("it starts with {found:#010x} and not with 0xd00dfeed (is it source text?)"),
        FdtError::Truncated { needed, found } => format!("it has {found} bytes of {needed}: it is cut short"),
        FdtError::TooLarge(size) => format!("its header says that it has {size} bytes, more than Linux takes"),
        other => format!("it is damaged: {other:?}"),
    }
}

/// Compares a board with the tree in `blob`. Gives every difference; none where it is the board's own.
///
/// # Errors
/// When there is nothing to compare.
pub fn check(board: &Description, blob: &[u8]) -> Result<Vec<Difference>, CheckError> {
    let tree = Tree::read(blob).map_err(CheckError::NotATree)?;
    read_as_el2_does(blob)?;
    crate::compare(board, &tree).ok_or(CheckError::NoTree(board.name))
}

/// What EL2 would stop at is told here, not on the board.
fn read_as_el2_does(blob: &[u8]) -> Result<(), CheckError> {
    let aligned = crate::tree::Aligned::new(blob);
    MachineTree::parse(aligned.bytes()).map_err(CheckError::Unreadable)?;
    Ok(())
}
