//! Pages that are taken from their borrower.

use super::{Hypervisor, Locked};
use crate::board::Board;
use crate::fault::Access;

impl<B: Board> Hypervisor<B> {
    /// Takes the page of an access from its borrower, so that the access can be made again: then it is of zeroes. `false`
    /// when it cannot be taken.
    #[cold]
    pub(super) fn force_reclaim(&self, state: &mut Locked<'_>, access: &Access) -> bool {
        let Some(page) = access.page else { return false };
        match state.ownership.take(&self.machine(), page) {
            Ok(()) => true,
            Err(error) => {
                crate::log::debug!("{} is not taken from its borrower: {}", page, error);
                false
            }
        }
    }
}
