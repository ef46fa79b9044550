//! Images and log streams, from the engineer side.

pub mod stream;
