//! `cargo xtask setup`: what the other commands need and the machine lacks.

use crate::ui;
use anyhow::Result;

pub mod debian;
pub mod kernel;
pub mod machine;
pub mod qemu;
pub mod toolchain;

/// Sets up what is missing: the bare-metal toolchain, QEMU, and a Linux kernel.
///
/// The other commands do it on their own; this one does it ahead.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel to fetch beside the toolchain and QEMU.
    #[arg(long, value_name = "VERSION", default_value = "6.12")]
    pub kernel: kernel::Version,
    /// Fetch every kernel that the tests use.
    #[arg(long, conflicts_with = "kernel")]
    pub all: bool,
}

/// Runs the command.
///
/// # Errors
/// When something can neither be found nor be made.
pub fn run(args: Args) -> Result<()> {
    let toolchain = toolchain::get()?;
    ui::step(
        "Ready",
        format_args!("{} for {}", toolchain.describe()?, toolchain::BARE_TARGET),
    );
    let qemu = qemu::get()?;
    ui::step(
        "Ready",
        format_args!("QEMU {}.{}, {}", qemu.version.0, qemu.version.1, qemu.program.display()),
    );
    toolchain::cross_gcc()?;
    toolchain::linux()?;
    let kernels = if args.all {
        &kernel::Version::ALL[..]
    } else {
        &[args.kernel]
    };
    for version in kernels {
        let kernel = kernel::get(*version)?;
        ui::step(
            "Ready",
            format_args!("Linux {}", kernel.release.as_deref().unwrap_or("of unknown release")),
        );
    }
    Ok(())
}
