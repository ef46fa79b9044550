//! A UART that somebody else has set up, of one of a few kinds.

use core::fmt;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Where QEMU's virt machine, and a guest of Leasehold's, has a PL011.
const USUAL: u64 = 0x0900_0000;
/// No FIFO stays full for as many looks.
const LOOKS: u32 = 1_000_000;

/// A kind of UART: how to send a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// `compatible` of its node.
    pub compatible: &'static str,
    /// The register that takes a character.
    data: u64,
    /// The register, and the bit in it, that says that the FIFO is full.
    status: u64,
    full: u32,
    /// The register that lets it send, and what for, where QEMU plays no firmware that would have.
    enable: Option<(u64, u32)>,
}

/// The kinds that are known. The first is the usual one.
pub const KINDS: [Kind; 3] = [
    // UARTDR, UARTFR.TXFF (Arm DDI0183G, 3.3).
    Kind {
        compatible: "arm,pl011",
        data: 0,
        status: 0x18,
        full: 1 << 5,
        enable: None,
    },
    // FIFO, Channel_sts.TFUL; Control: RXEN, TXEN (AMD UG1087, UART).
    Kind {
        compatible: "cdns,uart-r1p12",
        data: 0x30,
        status: 0x2c,
        full: 1 << 4,
        enable: Some((0, 0x14)),
    },
    // UTXD, UTS.TXFULL (NXP IMX8MPRM, UART).
    Kind {
        compatible: "fsl,imx6q-uart",
        data: 0x40,
        status: 0xb4,
        full: 1 << 4,
        enable: None,
    },
];

static BASE: AtomicU64 = AtomicU64::new(USUAL);
static KIND: AtomicUsize = AtomicUsize::new(0);

/// Says where it is, and which of [`KINDS`].
pub fn set(base: u64, kind: usize) {
    if base == 0 {
        return;
    }
    let kind = kind.min(KINDS.len() - 1);
    BASE.store(base, Ordering::Relaxed);
    KIND.store(kind, Ordering::Relaxed);
    if let Some((register, value)) = KINDS[kind].enable {
        // SAFETY: a register of the UART.
        unsafe { ((base + register) as *mut u32).write_volatile(value) };
    }
}

/// Where it is.
pub fn base() -> u64 {
    BASE.load(Ordering::Relaxed)
}

/// Writes text.
#[derive(Clone, Copy, Debug)]
pub struct Console;

impl Console {
    /// Writes bytes.
    pub fn bytes(self, bytes: &[u8]) {
        let base = BASE.load(Ordering::Relaxed);
        let kind = KINDS[KIND.load(Ordering::Relaxed)];
        for byte in bytes {
            for _ in 0..LOOKS {
                // SAFETY: a register of the UART.
                if unsafe { ((base + kind.status) as *const u32).read_volatile() } & kind.full == 0 {
                    break;
                }
            }
            // SAFETY: a register of the UART.
            unsafe { ((base + kind.data) as *mut u32).write_volatile(u32::from(*byte)) };
        }
    }

    /// Writes text.
    pub fn text(self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes a number, as `0x` and its hexadecimal digits.
    pub fn hex(self, value: u64) {
        let digits = (16 - value.leading_zeros() / 4).max(1);
        self.text("0x");
        for i in (0..digits).rev() {
            self.bytes(&[b"0123456789abcdef"[(value >> (i * 4) & 0xf) as usize]]);
        }
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text(text);
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! line {
    ($($argument:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, $($argument)*);
    }};
}
