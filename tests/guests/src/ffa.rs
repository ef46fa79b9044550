//! FF-A calls (Arm DEN0077A 1.2, DEN0140).

use crate::arch::call::call;
use crate::arch::mmu;
use crate::descriptor::{self, Lend, READ_WRITE};
use crate::lock::{Lock, Taken};
use crate::pages::Block;
use crate::vm::PATIENCE;
use leasehold_abi::ffa;

/// Neither `FFA_SUCCESS` nor `FFA_ERROR` came back.
pub const UNEXPECTED: i32 = i32::MIN;

/// The results of a call, or the error code of `FFA_ERROR`.
pub fn outcome(results: &[u64; 18]) -> Result<[u64; 18], i32> {
    match results[0] as u32 {
        ffa::SUCCESS_32 | ffa::SUCCESS_64 | ffa::MEM_RETRIEVE_RESP => Ok(*results),
        ffa::ERROR => Err(results[2] as i32),
        // SMCCC: nobody knows the function.
        u32::MAX => Err(ffa::NOT_SUPPORTED),
        _ => Err(UNEXPECTED),
    }
}

/// `FFA_VERSION`: what the callee offers to one who speaks `version`.
pub fn version(version: u32) -> i32 {
    call(ffa::VERSION, &[u64::from(version)])[0] as i32
}

/// `FFA_ID_GET`.
///
/// # Errors
/// The error code.
pub fn id() -> Result<u16, i32> {
    outcome(&call(ffa::ID_GET, &[])).map(|r| r[2] as u16)
}

/// `FFA_FEATURES` of a function: its two words.
///
/// # Errors
/// The error code.
pub fn features(function: u32) -> Result<(u32, u32), i32> {
    outcome(&call(ffa::FEATURES, &[u64::from(function), 0])).map(|r| (r[2] as u32, r[3] as u32))
}

/// `FFA_RXTX_MAP`.
///
/// # Errors
/// The error code.
pub fn map(tx: u64, rx: u64, pages: u64) -> Result<(), i32> {
    outcome(&call(ffa::RXTX_MAP_64, &[tx, rx, pages])).map(drop)
}

/// `FFA_RXTX_UNMAP` of the caller's own.
///
/// # Errors
/// The error code.
pub fn unmap() -> Result<(), i32> {
    outcome(&call(ffa::RXTX_UNMAP, &[0])).map(drop)
}

/// `FFA_RX_RELEASE`.
///
/// # Errors
/// The error code.
pub fn rx_release() -> Result<(), i32> {
    outcome(&call(ffa::RX_RELEASE, &[])).map(drop)
}

/// `FFA_MEM_LEND` with what is in the TX buffer: total length, length of this fragment, another buffer and its pages.
///
/// # Errors
/// The error code.
pub fn lend_raw(total: u64, fragment: u64, buffer: u64, pages: u64) -> Result<u64, i32> {
    outcome(&call(ffa::MEM_LEND_64, &[total, fragment, buffer, pages])).map(|r| handle(r[2], r[3]))
}

fn handle(low: u64, high: u64) -> u64 {
    low & 0xffff_ffff | high << 32
}

/// `FFA_MEM_RECLAIM`, once.
///
/// # Errors
/// The error code.
pub fn reclaim_once(handle: u64, flags: u64) -> Result<(), i32> {
    outcome(&call(ffa::MEM_RECLAIM, &[handle & 0xffff_ffff, handle >> 32, flags])).map(drop)
}

/// `FFA_MEM_RECLAIM`, again while the callee asks for it.
///
/// # Errors
/// The error code.
pub fn reclaim(handle: u64) -> Result<(), i32> {
    patiently(|| reclaim_once(handle, 0))
}

/// Calls again while the answer is `BUSY`, `RETRY` or `INTERRUPTED`.
fn patiently<T>(mut call: impl FnMut() -> Result<T, i32>) -> Result<T, i32> {
    let mut last = call();
    for _ in 0..PATIENCE {
        match last {
            Err(ffa::BUSY | ffa::RETRY | ffa::INTERRUPTED) => last = call(),
            _ => break,
        }
    }
    last
}

/// The buffers are one VM's, not one CPU's: with several CPUs at work, each waits for its turn. Before the MMU is on
/// there is one CPU at work.
fn turn() -> Option<Taken<'static, ()>> {
    static TURN: Lock<()> = Lock::new(());
    mmu::is_on().then(|| TURN.take())
}

/// A pair of buffers that the hypervisor knows.
#[derive(Clone, Copy, Debug)]
pub struct Mailbox {
    /// The caller's endpoint id.
    pub id: u16,
    /// What the caller writes.
    pub tx: Block,
    /// What the hypervisor writes.
    pub rx: Block,
}

impl Mailbox {
    /// Maps the two buffers, of the same size.
    ///
    /// # Errors
    /// The error code.
    pub fn new(tx: Block, rx: Block) -> Result<Mailbox, i32> {
        let id = id()?;
        map(tx.base(), rx.base(), tx.pages())?;
        Ok(Mailbox { id, tx, rx })
    }

    /// Lends `ranges` to `receiver`, read and write, and gives the handle.
    ///
    /// # Errors
    /// The error code.
    pub fn lend(&self, receiver: u64, ranges: &[(u64, u32)]) -> Result<u64, i32> {
        let _turn = turn();
        let len = self.encode(receiver, ranges);
        patiently(|| lend_raw(len as u64, len as u64, 0, 0))
    }

    /// Writes what [`Mailbox::lend`] sends, and gives its length.
    pub fn encode(&self, receiver: u64, ranges: &[(u64, u32)]) -> usize {
        let lend = Lend {
            sender: self.id,
            receiver: receiver as u16,
            attributes: 0,
            flags: 0,
            tag: 0,
            permissions: READ_WRITE,
            ranges,
        };
        lend.encode(|at, bytes| self.tx.put(at, bytes))
    }

    /// Retrieves a lease, and gives the first range of it: its address in the caller's memory, and its pages.
    ///
    /// # Errors
    /// The error code.
    pub fn retrieve(&self, owner: u16, handle: u64, tag: u64) -> Result<(u64, u32), i32> {
        let len = descriptor::retrieve(|at, bytes| self.tx.put(at, bytes), owner, self.id, handle, tag) as u64;
        patiently(|| outcome(&call(ffa::MEM_RETRIEVE_REQ_64, &[len, len, 0, 0])))?;
        let most = self.rx.bytes() as usize;
        let range = descriptor::first_range(|at| if at + 4 <= most { self.rx.read32(at) } else { 0 });
        rx_release()?;
        range.ok_or(UNEXPECTED)
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The error code.
    pub fn relinquish(&self, handle: u64) -> Result<(), i32> {
        descriptor::relinquish(|at, bytes| self.tx.put(at, bytes), handle, self.id);
        patiently(|| outcome(&call(ffa::MEM_RELINQUISH, &[])).map(drop))
    }
}
