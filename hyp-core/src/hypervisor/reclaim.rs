//! Pages that are taken from their borrower.

use super::{Hypervisor, Locked};
use crate::arch::aarch64::AbortFrame;
use crate::board::Board;
use crate::fault::Access;

impl<B: Board> Hypervisor<B> {
    /// Takes the page of an access from its borrower, so that the access can be made again. `false` when it cannot be taken.
    pub(super) fn force_reclaim(&self, _state: &mut Locked<'_>, _frame: &mut AbortFrame, _access: &Access) -> bool {
        false
    }
}
