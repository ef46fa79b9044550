//! What memory is lent for in the demo: a guest that finds its tree, finds its memory clean, fills it, waits, and finds
//! it as it left it.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod program {
    use leasehold_guests::{args, entry, psci, tenant};

    entry!(main);

    fn main(tree: u64) -> ! {
        if let Some(machine) = tenant::machine(tree) {
            psci::set_conduit(machine.psci_by_smc);
            tenant::live(&machine, args::has(tenant::arguments(&machine), "spin"));
        }
        psci::system_off()
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        tenant::say("panic");
        psci::system_off()
    }
}

/// There is nothing to run on the build machine.
#[cfg(not(target_os = "none"))]
fn main() {}
