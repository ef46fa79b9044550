//! An endpoint's RX and TX buffers (Arm DEN0077A 1.2, sections 7.2 and 13.6): where they are and whose turn it is.
//!
//! The endpoint writes TX and the hypervisor reads it during a call, so it needs no state. RX is the hypervisor's to
//! write until it has; then it is the endpoint's, until that releases it (section 7.2.2.4).

use leasehold_memory_map::{Ipa, PhysAddr};

/// A page of the endpoint's that is pinned: it stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Buffer {
    /// Where the endpoint has it.
    pub ipa: Ipa,
    /// Where it is.
    pub page: PhysAddr,
}

/// A pair of buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Buffers {
    /// What the endpoint writes.
    pub tx: Buffer,
    /// What the hypervisor writes.
    pub rx: Buffer,
}

/// Why a mailbox is not in a state for what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MailboxError {
    /// There are buffers already.
    Mapped,
    /// There are none.
    NotMapped,
    /// The endpoint has not released its RX buffer.
    RxFull,
    /// There is nothing in the RX buffer that could be released.
    RxEmpty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unmapped,
    /// RX is the hypervisor's.
    Empty(Buffers),
    /// RX is the endpoint's.
    Full(Buffers),
}

/// The mailbox of one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox(State);

impl Mailbox {
    /// Without buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self(State::Unmapped)
    }

    /// Takes a pair of buffers.
    ///
    /// # Errors
    /// [`MailboxError::Mapped`].
    pub fn map(&mut self, buffers: Buffers) -> Result<(), MailboxError> {
        match self.0 {
            State::Unmapped => {
                self.0 = State::Empty(buffers);
                Ok(())
            }
            State::Empty(_) | State::Full(_) => Err(MailboxError::Mapped),
        }
    }

    /// Gives the buffers up, whatever is in them.
    ///
    /// # Errors
    /// [`MailboxError::NotMapped`].
    pub fn unmap(&mut self) -> Result<Buffers, MailboxError> {
        let buffers = self.buffers()?;
        self.0 = State::Unmapped;
        Ok(buffers)
    }

    /// The buffers.
    ///
    /// # Errors
    /// [`MailboxError::NotMapped`].
    pub fn buffers(&self) -> Result<Buffers, MailboxError> {
        match self.0 {
            State::Unmapped => Err(MailboxError::NotMapped),
            State::Empty(buffers) | State::Full(buffers) => Ok(buffers),
        }
    }

    /// The buffers, of which RX may be written.
    ///
    /// # Errors
    /// [`MailboxError::NotMapped`], [`MailboxError::RxFull`].
    pub fn writable(&self) -> Result<Buffers, MailboxError> {
        match self.0 {
            State::Unmapped => Err(MailboxError::NotMapped),
            State::Empty(buffers) => Ok(buffers),
            State::Full(_) => Err(MailboxError::RxFull),
        }
    }

    /// RX has been written, and is the endpoint's from here on.
    ///
    /// # Errors
    /// As [`writable`](Self::writable).
    pub fn fill(&mut self) -> Result<(), MailboxError> {
        self.0 = State::Full(self.writable()?);
        Ok(())
    }

    /// The endpoint releases RX.
    ///
    /// # Errors
    /// [`MailboxError::NotMapped`], [`MailboxError::RxEmpty`].
    pub fn release(&mut self) -> Result<(), MailboxError> {
        match self.0 {
            State::Unmapped => Err(MailboxError::NotMapped),
            State::Empty(_) => Err(MailboxError::RxEmpty),
            State::Full(buffers) => {
                self.0 = State::Empty(buffers);
                Ok(())
            }
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFERS: Buffers = Buffers {
        tx: Buffer {
            ipa: Ipa::new(0x1000),
            page: PhysAddr::new(0x4000_1000),
        },
        rx: Buffer {
            ipa: Ipa::new(0x2000),
            page: PhysAddr::new(0x4000_2000),
        },
    };

    #[test]
    fn without_buffers_there_is_nothing_to_do() {
        let mut m = Mailbox::new();
        assert_eq!(m.buffers(), Err(MailboxError::NotMapped));
        assert_eq!(m.writable(), Err(MailboxError::NotMapped));
        assert_eq!(m.fill(), Err(MailboxError::NotMapped));
        assert_eq!(m.release(), Err(MailboxError::NotMapped));
        assert_eq!(m.unmap(), Err(MailboxError::NotMapped));
    }

    #[test]
    fn rx_changes_hands() {
        let mut m = Mailbox::new();
        assert_eq!(m.map(BUFFERS), Ok(()));
        assert_eq!(m.map(BUFFERS), Err(MailboxError::Mapped));
        assert_eq!(m.release(), Err(MailboxError::RxEmpty));
        assert_eq!(m.writable(), Ok(BUFFERS));
        assert_eq!(m.fill(), Ok(()));
        assert_eq!(m.fill(), Err(MailboxError::RxFull));
        assert_eq!(m.writable(), Err(MailboxError::RxFull));
        assert_eq!(m.buffers(), Ok(BUFFERS));
        assert_eq!(m.release(), Ok(()));
        assert_eq!(m.release(), Err(MailboxError::RxEmpty));
        assert_eq!(m.writable(), Ok(BUFFERS));
    }

    #[test]
    fn buffers_that_are_given_up_are_forgotten_full_or_not() {
        let mut m = Mailbox::new();
        m.map(BUFFERS).unwrap();
        m.fill().unwrap();
        assert_eq!(m.unmap(), Ok(BUFFERS));
        assert_eq!(m.unmap(), Err(MailboxError::NotMapped));
        assert_eq!(m.map(BUFFERS), Ok(()));
        assert_eq!(m.writable(), Ok(BUFFERS));
    }
}
