//! Accesses that are served on other memory.

use super::{Hypervisor, Locked};
use crate::arch::aarch64::AbortFrame;
use crate::board::Board;
use crate::fault::Access;

impl<B: Board> Hypervisor<B> {
    /// Serves an access to lent memory on other memory. `false` when it cannot be served so.
    pub(super) fn decoy(&self, _state: &mut Locked<'_>, _frame: &mut AbortFrame, _access: &Access) -> bool {
        false
    }
}
