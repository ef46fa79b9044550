//! A PL011 that somebody else has set up.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where QEMU's virt machine, and a guest of Leasehold's, has it.
const USUAL: u64 = 0x0900_0000;
/// `UARTFR`, and its bit TXFF: the transmit FIFO is full (Arm DDI0183G, 3.3.3).
const UARTFR: u64 = 0x18;
const TXFF: u32 = 1 << 5;
/// No FIFO stays full for as many looks.
const LOOKS: u32 = 1_000_000;

static BASE: AtomicU64 = AtomicU64::new(USUAL);

/// Says where it is.
pub fn set(base: u64) {
    if base != 0 {
        BASE.store(base, Ordering::Relaxed);
    }
}

/// Writes text.
#[derive(Clone, Copy, Debug)]
pub struct Console;

impl Console {
    /// Writes bytes.
    pub fn bytes(self, bytes: &[u8]) {
        let base = BASE.load(Ordering::Relaxed);
        for byte in bytes {
            for _ in 0..LOOKS {
                // SAFETY: a register of the UART.
                if unsafe { ((base + UARTFR) as *const u32).read_volatile() } & TXFF == 0 {
                    break;
                }
            }
            // SAFETY: a register of the UART.
            unsafe { (base as *mut u32).write_volatile(u32::from(*byte)) };
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
