//! Memory that is not there: each access is answered as a bus would, with a synchronous external abort.

use crate::program::Guest;
use leasehold_guests::arch::probe::{self, Fault, Odd, Width};
use leasehold_guests::tree::RAM_BASE;

/// Data abort and instruction abort from EL1, 32-bit instruction, synchronous external abort (Arm ARM D24.2.40).
const DATA: u64 = 0x25 << 26 | 1 << 25 | 0x10;
const FETCH: u64 = 0x21 << 26 | 1 << 25 | 0x10;
const WNR: u64 = 1 << 6;

pub fn run(guest: &mut Guest) {
    let end = guest.machine.memory.iter().map(|m| m.end).max().unwrap_or(RAM_BASE);
    // Below everything; where nothing is; beside the UART; below, behind and far behind RAM; the last address that
    // 39 bits have.
    let nowhere = [
        0,
        0x0f80_0000,
        guest.machine.uart + 0x1000,
        RAM_BASE - 8,
        end,
        end + (1 << 30),
        (1 << 39) - 8,
    ];
    for address in nowhere {
        refused(guest, address);
    }
    // A controller is there or is not, but touching it stops nobody.
    for address in [0x0800_0000, 0x0801_0000, 0x080a_0000, 0x0903_0000] {
        let read = probe::read(address, Width::Word);
        let good = read.is_ok() || read.is_err_and(|f| f.esr == DATA);
        guest
            .report
            .step("device", good, format_args!("{address:#x}: {read:x?}"));
    }
}

fn refused(guest: &mut Guest, address: u64) {
    // SAFETY: nothing is there.
    let (store, jump) = unsafe {
        (
            probe::write(address, Width::Double, 1).err(),
            probe::fetch(address, 0).err(),
        )
    };
    let ways: [(&str, u64, Option<Fault>); 6] = [
        ("load 8", DATA, probe::read(address, Width::Byte).err()),
        ("load 64", DATA, probe::read(address, Width::Double).err()),
        ("load pair", DATA, probe::read_oddly(address, Odd::Pair).err()),
        ("load excl", DATA, probe::read_oddly(address, Odd::Exclusive).err()),
        ("store 64", DATA | WNR, store),
        ("fetch", FETCH, jump),
    ];
    let wrong = ways
        .iter()
        .find(|(_, esr, fault)| !fault.is_some_and(|f| f.esr == *esr && f.far == address));
    match wrong {
        None => guest.report.step("refused", true, format_args!("{address:#x}")),
        Some((name, esr, fault)) => guest.report.step(
            "refused",
            false,
            format_args!("{address:#x}: {name}: {fault:x?}, wanted ESR {esr:#x}"),
        ),
    };
}
