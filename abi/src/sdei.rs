//! The Software Delegated Exception Interface (Arm DEN0054C, SDEI 1.1): function ids and return codes, as in Linux
//! (`include/uapi/linux/arm_sdei.h`) and Trusted Firmware-A (`include/services/sdei.h`, `sdei_private.h`).

use crate::table::constants;

constants! {
    /// The function ids, as a table. All are fast calls in the 64-bit convention.
    FUNCTIONS: u32;

    /// `SDEI_VERSION`.
    VERSION = 0xC400_0020;
    /// `SDEI_EVENT_REGISTER`.
    EVENT_REGISTER = 0xC400_0021;
    /// `SDEI_EVENT_ENABLE`.
    EVENT_ENABLE = 0xC400_0022;
    /// `SDEI_EVENT_DISABLE`.
    EVENT_DISABLE = 0xC400_0023;
    /// `SDEI_EVENT_CONTEXT`.
    EVENT_CONTEXT = 0xC400_0024;
    /// `SDEI_EVENT_COMPLETE`.
    EVENT_COMPLETE = 0xC400_0025;
    /// `SDEI_EVENT_COMPLETE_AND_RESUME`.
    EVENT_COMPLETE_AND_RESUME = 0xC400_0026;
    /// `SDEI_EVENT_UNREGISTER`.
    EVENT_UNREGISTER = 0xC400_0027;
    /// `SDEI_EVENT_STATUS`.
    EVENT_STATUS = 0xC400_0028;
    /// `SDEI_EVENT_GET_INFO`.
    EVENT_GET_INFO = 0xC400_0029;
    /// `SDEI_EVENT_ROUTING_SET`.
    EVENT_ROUTING_SET = 0xC400_002A;
    /// `SDEI_PE_MASK`.
    PE_MASK = 0xC400_002B;
    /// `SDEI_PE_UNMASK`.
    PE_UNMASK = 0xC400_002C;
    /// `SDEI_INTERRUPT_BIND`.
    INTERRUPT_BIND = 0xC400_002D;
    /// `SDEI_INTERRUPT_RELEASE`.
    INTERRUPT_RELEASE = 0xC400_002E;
    /// `SDEI_EVENT_SIGNAL`.
    EVENT_SIGNAL = 0xC400_002F;
    /// `SDEI_FEATURES`.
    FEATURES = 0xC400_0030;
    /// `SDEI_PRIVATE_RESET`.
    PRIVATE_RESET = 0xC400_0031;
    /// `SDEI_SHARED_RESET`.
    SHARED_RESET = 0xC400_0032;
}

/// The last function id that is set aside for SDEI; [`VERSION`] is the first.
pub const LAST_FUNCTION: u32 = 0xC400_003F;

constants! {
    /// The return codes, as a table. What is not negative is a result.
    RETURN_CODES: i64;

    /// Done.
    SUCCESS = 0;
    /// The call is not implemented.
    NOT_SUPPORTED = -1;
    /// An argument is not valid.
    INVALID_PARAMETERS = -2;
    /// Not in this state, or not from here.
    DENIED = -3;
    /// The event's handler is running: it is unregistered when that completes.
    PENDING = -5;
    /// There are no slots left to bind interrupts with.
    OUT_OF_RESOURCE = -10;
}

/// What `SDEI_VERSION` answers: major in bits 62:48, minor in 47:32, and the vendor's own in 31:0, of which we have none.
pub const VERSION_1_1: i64 = 1 << 48 | 1 << 32;

constants! {
    /// The events, as a table. Bit 30 marks those of a vendor.
    EVENTS: u32;

    /// The software-signalled event: private, of normal priority.
    EVENT_SOFTWARE = 0;
    /// An access of the host's to memory that is not its own: private, of critical priority. `FAULT_EVENT` tells it.
    EVENT_FAULT = 0x4000_4C48;
}

/// `SDEI_EVENT_REGISTER` and `SDEI_EVENT_ROUTING_SET`, flags: bit 0 is the routing mode of a shared event.
pub const FLAGS_ROUTING_PE: u64 = 1 << 0;

constants! {
    /// What `SDEI_EVENT_GET_INFO` may be asked, as a table.
    INFOS: u32;

    /// 1 for a shared event, 0 for a private one.
    INFO_TYPE = 0;
    /// 1 for an event that `SDEI_EVENT_SIGNAL` signals.
    INFO_SIGNALED = 1;
    /// 1 for critical priority, 0 for normal.
    INFO_PRIORITY = 2;
    /// How a shared event is routed.
    INFO_ROUTING_MODE = 3;
    /// Where a shared event is routed to.
    INFO_ROUTING_AFFINITY = 4;
}

constants! {
    /// What `SDEI_EVENT_STATUS` returns, as a table of bits.
    STATUS_BITS: i64;

    /// A handler is registered.
    STATUS_REGISTERED = 1 << 0;
    /// The event is enabled.
    STATUS_ENABLED = 1 << 1;
    /// The handler is running.
    STATUS_RUNNING = 1 << 2;
}

constants! {
    /// What `SDEI_FEATURES` may be asked, as a table.
    FEATURE_IDS: u32;

    /// How many private (bits 15:0) and shared (31:16) events can be bound to interrupts.
    FEATURE_BIND_SLOTS = 0;
    /// Whether a handler's address may be relative to VBAR_EL1.
    FEATURE_RELATIVE_MODE = 1;
}

/// How many registers, from x0 on, a handler finds saved.
pub const SAVED_REGISTERS: usize = 18;
