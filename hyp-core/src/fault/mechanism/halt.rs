//! The CPU stops, for bring-up: whoever touched is still there to be looked at. `arch` writes the dump.

use super::Delivery;

pub(super) const NAME: &str = "halt";

pub(super) const DELIVERY: Delivery = Delivery::Halt;
