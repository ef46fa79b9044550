//! Calls of our own, in the SMCCC vendor-specific hypervisor range (owner 6).
//!
//! A caller first asks [`smccc::VENDOR_HYP_CALL_UID`](crate::smccc::VENDOR_HYP_CALL_UID) for [`UID`]. All calls are
//! fast calls in the 64-bit convention: `x0` carries the function id and returns a status, unknown flags are refused,
//! registers that a call does not name are preserved.

use crate::table::{calls, constants};

/// The UID of Leasehold: 7f4a81bd-c6b2-4930-9db8-0b6796094305, as the four words that `w0` to `w3` return
/// (little-endian per word, DEN0028 section 6.2).
pub const UID: [u32; 4] = [0xbd81_4a7f, 0x3049_b2c6, 0x670b_b89d, 0x0543_0996];

/// Major version of the calls below: changes that break callers.
pub const REVISION_MAJOR: u32 = 0;
/// Minor version: additions.
pub const REVISION_MINOR: u32 = 1;

calls! {
    /// The calls, as a table.
    CALLS;

    /// Tells what this hypervisor offers.
    FEATURES = 0xC600_0001 () -> ("feature bits", "most VMs at a time", "most leases at a time", "most ranges a lease");
    /// Makes an empty VM. Memory is lent to the id that it returns.
    VM_CREATE = 0xC600_0010 ("flags, 0") -> ("VM id");
    /// Retrieves a lease for a VM that has not started, at the IPA given. AGAIN: call again, it goes on where it was.
    VM_MAP = 0xC600_0011 ("VM id", "lease handle", "IPA of the guest") -> ();
    /// Copies from a page that the host owns into the VM's memory. Neither side may cross a page. Refused after start.
    VM_LOAD = 0xC600_0012 ("VM id", "IPA of the guest", "IPA of the host", "length in bytes, 1 to 4096") -> ();
    /// Writes the guest's device tree at the IPA given and makes vCPU 0 ready to run. No load is taken after it.
    VM_START = 0xC600_0013 ("VM id", "entry IPA", "IPA for the device tree, 8 KiB long, 8-byte aligned") -> ();
    /// Runs a vCPU until the host is needed. Interrupts of the host end a run.
    VM_RUN = 0xC600_0014 ("VM id", "vCPU, 0") -> ("exit reason", "first detail", "second detail", "third detail");
    /// Stops a VM in any state, relinquishes for it and scrubs, in bounded steps. AGAIN: call again.
    VM_DESTROY = 0xC600_0015 ("VM id") -> ();
    /// FFA_MEM_LEND of the descriptor in TX, refused (DENIED) while the calling CPU's stage 1 maps any of the memory at its
    /// IPA plus the alias' offset. 64 MiB at most. For a host that unmaps before it lends: it may map again.
    LEND_UNMAPPED = 0xC600_0016 ("descriptor's length in bytes", "alias' offset") -> ("lease handle");
    /// Takes console output of a VM: bytes in x2 to x15, little-endian.
    CONSOLE_READ = 0xC600_0018 ("VM id") -> ("number of bytes, 0 to 112");
    /// Takes the oldest fault record: class, IPA, VA, PC, ESR_EL2, borrower, link, CPU, time in counter ticks.
    FAULT_READ = 0xC600_0020 () -> (
        "records lost", "class", "IPA", "VA", "PC", "ESR_EL2", "borrower's id", "mechanism", "CPU, or a device's stream id",
        "counter"
    );
    /// Tells how often accesses of a class were answered by mechanisms of each kind, since boot: one that could not answer
    /// counts too.
    FAULT_COUNTS = 0xC600_0022 ("class") -> (
        "aborts of any status code", "tagged aborts", "halts", "new syndromes", "SDEI events", "decoys", "pages taken",
        "unmapped"
    );
    /// Tells the number of the SDEI event that accesses to lent memory raise, where the policy has the mechanism `sdei`.
    FAULT_EVENT = 0xC600_0023 () -> ("event number");
    /// Tells the record of the access that the event's handler on the calling CPU is running for: as FAULT_READ, which
    /// still returns it too. DENIED outside of the handler.
    FAULT_CURRENT = 0xC600_0024 () -> (
        "class", "IPA", "VA", "PC", "ESR_EL2", "borrower's id", "mechanism", "CPU", "counter"
    );
}

constants! {
    /// The status codes, as a table.
    STATUSES: i32;

    /// Done.
    SUCCESS = 0;
    /// The call is not known here.
    NOT_SUPPORTED = -1;
    /// An argument is not valid.
    INVALID_PARAMETERS = -2;
    /// The caller may not do this, or not in this state.
    DENIED = -3;
    /// A table or pool is full.
    NO_MEMORY = -4;
    /// Another CPU is at it.
    BUSY = -5;
    /// A bounded step is done and more are left: call again.
    AGAIN = -6;
    /// There is nothing to return.
    NO_DATA = -7;
    /// The hardware did not confirm in time. What was asked for is not done; the memory is in transit.
    TIMED_OUT = -8;
}

constants! {
    /// Why a run ended, as a table.
    EXIT_REASONS: u64;

    /// An interrupt of the host's is pending: run again. Details: none.
    EXIT_INTERRUPT = 0;
    /// The guest waits for an interrupt. Details: none.
    EXIT_WAIT = 1;
    /// The guest has written to its console: read it, run again. Details: none.
    EXIT_CONSOLE = 2;
    /// The guest has switched itself off (PSCI SYSTEM_OFF). Details: none.
    EXIT_OFF = 3;
    /// The guest asks for a reset (PSCI SYSTEM_RESET). Details: none.
    EXIT_RESET = 4;
    /// The guest cannot go on. Details: ESR_EL2, IPA, PC.
    EXIT_CRASHED = 5;
    /// The guest has touched a page that was taken from it (force-reclaim), and cannot go on. Details: ESR_EL2, IPA, PC.
    EXIT_TAKEN = 6;
}

constants! {
    /// What a hypervisor may offer, as a table.
    FEATURE_BITS: u64;

    /// The host's devices are kept out of lent memory by an SMMU.
    FEATURE_DMA_PROTECTED = 1 << 0;
    /// Masters that no SMMU contains are on this board, and it accepts them.
    FEATURE_UNCONTAINED_MASTERS = 1 << 1;
}

constants! {
    /// Classes of access, as fault records and policies name them, as a table.
    ACCESS_CLASSES: u64;

    /// From EL0.
    CLASS_EL0 = 0;
    /// From EL1, at a user address.
    CLASS_EL1_USER = 1;
    /// From EL1, at a kernel address.
    CLASS_EL1_KERNEL = 2;
    /// By a stage-1 walk.
    CLASS_WALK = 3;
    /// An instruction fetch from EL1.
    CLASS_FETCH = 4;
    /// Cache maintenance by address.
    CLASS_CACHE = 5;
    /// By a device, through the SMMU.
    CLASS_DEVICE = 6;
}

constants! {
    /// Mechanisms that fault records name, as a table. Aborts carry their status code in bits 15:8.
    MECHANISMS: u64;

    /// An abort with a fault status code.
    MECHANISM_ABORT = 1;
    /// An abort that keeps the stage-2 syndrome and sets S1PTW.
    MECHANISM_TAGGED_ABORT = 2;
    /// The CPU stopped.
    MECHANISM_HALT = 3;
    /// An abort with a syndrome of the board's.
    MECHANISM_NEW_SYNDROME = 4;
    /// An SDEI event.
    MECHANISM_SDEI = 5;
    /// The access was served on other memory.
    MECHANISM_DECOY = 6;
    /// The page was taken from the borrower.
    MECHANISM_FORCE_RECLAIM = 7;
    /// None: the host was to have unmapped the memory, and there was no other link.
    MECHANISM_UNMAPPED = 8;
    /// Nothing was delivered: the access was a device's.
    MECHANISM_NONE = 0;
}

constants! {
    /// Lengths that the calls keep to, as a table.
    LIMITS: u64;

    /// The most bytes that `CONSOLE_READ` returns: fourteen registers.
    MAX_CONSOLE_BYTES = 14 * 8;
    /// The most bytes that `VM_LOAD` copies: a page.
    MAX_LOAD_BYTES = 4096;
    /// Bytes at the address given to `VM_START` that are the device tree's.
    TREE_BYTES = 8192;
}
