//! The choice among the states.

use crate::{dma, gunyah, jump, registers, translation};
use leasehold_guests::arch::cpu;
use leasehold_guests::arch::entry::image_args;
use leasehold_guests::tree::Machine;
use leasehold_guests::{args, console, entry, line, psci, stop, write_register};

entry!(main);

fn main(tree: u64) -> ! {
    // SAFETY: nothing here writes to the tree.
    let machine = match unsafe { Machine::read(tree) } {
        Ok(machine) => machine,
        Err(error) => stop(format_args!("device tree at {tree:#x}: {error:?}")),
    };
    console::set(machine.uart, machine.uart_kind);
    psci::set_conduit(machine.psci_by_smc);
    let told = image_args();
    let entry = args::number_of(told, "entry", 0);
    line!("LH-STUB {told}");
    match args::value(told, "state").unwrap_or("") {
        // EL2 as QEMU has it: for an image that is elsewhere.
        "plain" => jump::at_el2(entry, tree),
        "el1" => {
            // RW: EL1 is AArch64.
            write_register!("hcr_el2", 1 << 31);
            jump::at_el1(entry, tree)
        }
        "mmu" => {
            translation::on(entry, args::number_of(told, "bytes", 0), false);
            jump::at_el2(entry, tree)
        }
        "mmu-vhe" => {
            translation::on(entry, args::number_of(told, "bytes", 0), true);
            jump::at_el2(entry, tree)
        }
        "registers" => {
            registers::spoil();
            jump::at_el2(entry, tree)
        }
        "interrupt" => {
            registers::alarm(&machine);
            jump::unmasked(entry, tree)
        }
        "watchdog" => {
            // i.MX's first watchdog: WDOG_WCR (NXP IMX8MPRM, "Watchdog Timer"): the time in halves of a second, less
            // one; no software reset, no signal, enabled.
            let time = args::number_of(told, "half-seconds", 1) - 1;
            // SAFETY: a register of the watchdog's.
            unsafe { (0x3028_0000 as *mut u16).write_volatile((time << 8) as u16 | 0x34) };
            cpu::delay(args::number_of(told, "wait-ms", 0));
            jump::at_el2(entry, tree)
        }
        "dma" => {
            dma::start(&machine, told);
            jump::at_el2(entry, tree)
        }
        "gunyah" => {
            gunyah::install(told);
            jump::at_el1(entry, tree)
        }
        other => stop(format_args!("there is no state {other:?}")),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}
