//! Leasehold's own calls.

use crate::arch::call::call;
use leasehold_abi::{smccc, vendor};

/// How often a call that says so is made again. No range in these tests takes as many steps.
pub const PATIENCE: u32 = 1_000_000;

/// Is it Leasehold that answers?
pub fn is_leasehold() -> bool {
    let r = call(smccc::VENDOR_HYP_CALL_UID, &[]);
    (0..4).all(|i| r[i] as u32 == vendor::UID[i])
}

fn status(r: &[u64; 18]) -> Result<[u64; 18], i32> {
    match r[0] as i32 {
        vendor::SUCCESS => Ok(*r),
        error => Err(error),
    }
}

/// Calls again while the answer is `AGAIN` or `BUSY`.
fn patiently(function: u32, arguments: &[u64]) -> Result<[u64; 18], i32> {
    let mut last = status(&call(function, arguments));
    for _ in 0..PATIENCE {
        match last {
            Err(vendor::AGAIN | vendor::BUSY) => last = status(&call(function, arguments)),
            _ => break,
        }
    }
    last
}

/// What `FEATURES` tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `FEATURE_` bits.
    pub bits: u64,
    /// Most VMs at a time.
    pub vms: u64,
    /// Most leases at a time.
    pub leases: u64,
    /// Most ranges a lease.
    pub ranges: u64,
}

/// `FEATURES`.
///
/// # Errors
/// The status.
pub fn features() -> Result<Features, i32> {
    let r = status(&call(vendor::FEATURES, &[]))?;
    Ok(Features {
        bits: r[1],
        vms: r[2],
        leases: r[3],
        ranges: r[4],
    })
}

/// `VM_CREATE`: the new VM's id.
///
/// # Errors
/// The status.
pub fn create() -> Result<u64, i32> {
    patiently(vendor::VM_CREATE, &[0]).map(|r| r[1])
}

/// `VM_MAP`, again while there is more to do.
///
/// # Errors
/// The status.
pub fn map(vm: u64, handle: u64, ipa: u64) -> Result<(), i32> {
    patiently(vendor::VM_MAP, &[vm, handle, ipa]).map(drop)
}

/// `VM_LOAD`.
///
/// # Errors
/// The status.
pub fn load(vm: u64, to: u64, from: u64, bytes: u64) -> Result<(), i32> {
    patiently(vendor::VM_LOAD, &[vm, to, from, bytes]).map(drop)
}

/// `VM_START`.
///
/// # Errors
/// The status.
pub fn start(vm: u64, entry: u64, tree: u64) -> Result<(), i32> {
    patiently(vendor::VM_START, &[vm, entry, tree]).map(drop)
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// `EXIT_`.
    pub reason: u64,
    /// Its details.
    pub details: [u64; 3],
}

/// `VM_RUN` of vCPU `vcpu`, once.
///
/// # Errors
/// The status.
pub fn run(vm: u64, vcpu: u64) -> Result<Exit, i32> {
    let r = patiently(vendor::VM_RUN, &[vm, vcpu])?;
    Ok(Exit {
        reason: r[1],
        details: [r[2], r[3], r[4]],
    })
}

/// `VM_DESTROY`, again while there is more to do.
///
/// # Errors
/// The status.
pub fn destroy(vm: u64) -> Result<(), i32> {
    patiently(vendor::VM_DESTROY, &[vm]).map(drop)
}

/// `CONSOLE_READ`: how many bytes there were, and the bytes.
///
/// # Errors
/// The status, `NO_DATA` among them.
pub fn console(vm: u64) -> Result<(usize, [u8; 112]), i32> {
    let r = status(&call(vendor::CONSOLE_READ, &[vm]))?;
    let mut bytes = [0; 112];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(&r[2..16]) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    Ok(((r[1] as usize).min(112), bytes))
}

/// What `FAULT_READ` gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How many were lost before it.
    pub lost: u64,
    /// `CLASS_`.
    pub class: u64,
    /// The address that was touched.
    pub ipa: u64,
    /// By which virtual address.
    pub va: u64,
    /// By which instruction.
    pub pc: u64,
    /// `ESR_EL2`.
    pub esr: u64,
    /// Whom it is lent to.
    pub borrower: u64,
    /// `MECHANISM_`, with the status code in bits 15:8.
    pub mechanism: u64,
    /// Which CPU.
    pub cpu: u64,
}

/// `FAULT_READ`: the oldest record.
///
/// # Errors
/// The status, `NO_DATA` among them.
pub fn fault() -> Result<Record, i32> {
    let r = status(&call(vendor::FAULT_READ, &[]))?;
    Ok(Record {
        lost: r[1],
        class: r[2],
        ipa: r[3],
        va: r[4],
        pc: r[5],
        esr: r[6],
        borrower: r[7],
        mechanism: r[8],
        cpu: r[9],
    })
}

/// `FAULT_EVENT`: the number of the SDEI event.
///
/// # Errors
/// The status.
pub fn fault_event() -> Result<u64, i32> {
    status(&call(vendor::FAULT_EVENT, &[])).map(|r| r[1])
}

/// `FAULT_CURRENT`: the record of the access that the handler on this CPU is running for.
///
/// # Errors
/// The status.
pub fn current_fault() -> Result<Record, i32> {
    let r = status(&call(vendor::FAULT_CURRENT, &[]))?;
    Ok(Record {
        lost: 0,
        class: r[1],
        ipa: r[2],
        va: r[3],
        pc: r[4],
        esr: r[5],
        borrower: r[6],
        mechanism: r[7],
        cpu: r[8],
    })
}

/// `LEND_UNMAPPED` of the `length` bytes in TX: the handle of a lease of what is not mapped at its IPAs plus `offset`.
///
/// # Errors
/// The status.
pub fn lend_unmapped(length: u64, offset: u64) -> Result<u64, i32> {
    status(&call(vendor::LEND_UNMAPPED, &[length, offset])).map(|r| r[1])
}

/// `FAULT_COUNTS`: how often touches of `class` (`CLASS_`) were answered, by each kind of mechanism.
///
/// # Errors
/// The status.
pub fn fault_counts(class: u64) -> Result<[u64; 8], i32> {
    let r = status(&call(vendor::FAULT_COUNTS, &[class]))?;
    let mut counts = [0; 8];
    counts.copy_from_slice(&r[1..9]);
    Ok(counts)
}

/// Takes all fault records there are, and says how many they were.
pub fn drain_faults() -> u32 {
    (0..PATIENCE).take_while(|_| fault().is_ok()).count() as u32
}
