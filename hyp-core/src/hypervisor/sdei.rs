//! SDEI events for the host.

use super::{Hypervisor, Locked};
use crate::arch::aarch64::AbortFrame;
use crate::board::Board;
use crate::fault::Access;

impl<B: Board> Hypervisor<B> {
    /// Has the host's handler called for an access to lent memory. `false` when there is none.
    pub(super) fn event(&self, _state: &mut Locked<'_>, _frame: &mut AbortFrame, _access: &Access) -> bool {
        false
    }
}
