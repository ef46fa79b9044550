//! The calls of the Firmware Framework for Arm A-profile (FF-A 1.2: Arm DEN0077A, and DEN0140 for memory management)
//! by which memory is lent.

pub mod calls;
mod descriptor;
mod mailbox;
mod words;

pub use descriptor::{Constituents, DataAccess, Field, Lend, Malformed, Relinquish, RetrieveRequest, RetrieveResponse};
pub use mailbox::{Buffer, Buffers, Mailbox, MailboxError};
pub use words::{Sink, Source};
