//! The choice among the states.

use crate::{dma, gunyah, jump, registers, translation};
use leasehold_guests::arch::entry::image_args;
use leasehold_guests::tree::Machine;
use leasehold_guests::{args, console, entry, line, psci, stop};

entry!(main);

fn main(tree: u64) -> ! {
    // SAFETY: nothing here writes to the tree.
    let machine = match unsafe { Machine::read(tree) } {
        Ok(machine) => machine,
        Err(error) => stop(format_args!("device tree at {tree:#x}: {error:?}")),
    };
    console::set(machine.uart);
    psci::set_conduit(machine.psci_by_smc);
    let told = image_args();
    let entry = args::number_of(told, "entry", 0);
    line!("LH-STUB {told}");
    match args::value(told, "state").unwrap_or("") {
        // EL2 as QEMU has it: for an image that is elsewhere.
        "plain" => jump::at_el2(entry, tree),
        "el1" => jump::at_el1(entry, tree),
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
