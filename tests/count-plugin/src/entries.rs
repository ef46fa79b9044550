//! Entries into an exception level, by what caused them.

use crate::qemu::{self, Register};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Where the vectors for a lower level begin and end, and how far apart they are (Arm ARM D1.3.6, table D1-7).
const LOWER_LEVEL: std::ops::Range<u64> = 0x400..0x800;
const PITCH: u64 = 0x80;
/// The exception classes of instruction and data aborts from a lower level (Arm ARM D24.2.40, ESR_EL2.EC).
const ABORTS: [u64; 2] = [0x20, 0x24];
/// The vectors at which ESR_EL2 says why: synchronous exceptions, of AArch64 and AArch32.
const SYNCHRONOUS: [u64; 2] = [0x400, 0x600];

/// Why EL2 was entered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    /// The vector's offset in its table.
    vector: u64,
    /// ESR_EL2.EC, of a synchronous exception.
    class: Option<u64>,
    /// The page's intermediate physical address, of an abort.
    page: Option<u64>,
}

/// Entries counted by cause.
pub struct Entries(Mutex<BTreeMap<Cause, u64>>);

/// ESR_EL2 and HPFAR_EL2 of a CPU.
struct Syndrome {
    esr: Register,
    hpfar: Register,
}

/// The same for every CPU: QEMU's handles are of the CPU's kind.
static SYNDROME: OnceLock<Option<Syndrome>> = OnceLock::new();

/// Looks for the registers. For the callback that says that a CPU is there.
pub fn find_registers() {
    SYNDROME.get_or_init(|| {
        let registers = qemu::registers();
        let find = |name: &str| {
            registers
                .iter()
                .find(|(it, _)| it == name)
                .map(|(_, register)| *register)
        };
        Some(Syndrome {
            esr: find("ESR_EL2")?,
            hpfar: find("HPFAR_EL2")?,
        })
    });
}

/// The offset of the vector at `address`, if it is one for a lower level in the table at `table`.
pub fn vector(table: u64, address: u64) -> Option<u64> {
    let offset = address.checked_sub(table)?;
    (LOWER_LEVEL.contains(&offset) && offset.is_multiple_of(PITCH)).then_some(offset)
}

impl Entries {
    /// None yet.
    pub const fn new() -> Entries {
        Entries(Mutex::new(BTreeMap::new()))
    }

    /// Counts one, at that vector. For a callback that may read registers.
    pub fn count(&self, vector: u64) {
        let mut cause = Cause {
            vector,
            class: None,
            page: None,
        };
        if SYNCHRONOUS.contains(&vector)
            && let Some(Some(syndrome)) = SYNDROME.get()
        {
            cause.class = syndrome.esr.read().map(|esr| esr >> 26 & 0x3f);
            if cause.class.is_some_and(|class| ABORTS.contains(&class)) {
                // HPFAR_EL2.FIPA, bits 47:4, is bits 55:12 of the address (Arm ARM D24.2.61).
                cause.page = syndrome.hpfar.read().map(|hpfar| (hpfar & 0xffff_ffff_fff0) << 8);
            }
        }
        let mut causes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *causes.entry(cause).or_default() += 1;
    }

    /// A line for each cause, `entry VECTOR CLASS PAGE n`; `-` for what a cause does not have.
    pub fn report(&self) -> String {
        let shown = |value: Option<u64>| value.map_or("-".to_owned(), |value| format!("{value:#x}"));
        let mut text = String::new();
        for (cause, count) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let (class, page) = (shown(cause.class), shown(cause.page));
            let _ = writeln!(text, "entry {:#x} {class} {page} {count}", cause.vector);
        }
        text
    }
}
