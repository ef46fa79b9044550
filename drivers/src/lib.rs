//! One driver per IP block.
#![cfg_attr(not(test), no_std)]
