//! `cargo xtask setup`: what the other commands need and the machine lacks.

use crate::ui;
use anyhow::{Result, bail};

pub mod cross;
pub mod debian;
pub mod kernel;
pub mod machine;
pub mod qemu;
pub mod toolchain;
pub mod trees;

/// Sets up what is missing: the bare-metal toolchain, QEMU, a Linux kernel, and device trees.
///
/// The other commands do it on their own; this one does it ahead.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The kernel to fetch, with its device trees, beside the toolchain and QEMU.
    #[arg(long, value_name = "VERSION", default_value = "6.12")]
    pub kernel: kernel::Version,
    /// Fetch every kernel that the tests use, and its device trees.
    #[arg(long, conflicts_with = "kernel")]
    pub all: bool,
}

/// Runs the command.
///
/// # Errors
/// When something can neither be found nor be made. The rest is set up all the same.
pub fn run(args: Args) -> Result<()> {
    let kernels = if args.all {
        &kernel::Version::ALL[..]
    } else {
        &[args.kernel]
    };
    let mut missing = 0;
    let mut show = |result: Result<String>| match result {
        Ok(ready) => ui::step("Ready", ready),
        Err(error) => {
            ui::error(&error);
            missing += 1;
        }
    };
    show(toolchain::get().and_then(|toolchain| {
        let version = toolchain.describe()?;
        Ok(format!("{version} for {}", toolchain::BARE_TARGET))
    }));
    show(qemu::get().map(|qemu| format!("QEMU {}.{}, {}", qemu.version.0, qemu.version.1, qemu.program.display())));
    show(cross::gcc().map(|()| format!("{}gcc", cross::prefix())));
    show(cross::get().map(|linux| format!("Rust for {}", linux.target)));
    for version in kernels {
        show(kernel::get(*version).map(|kernel| format!("Linux {}", kernel.release.unwrap_or_default())));
        show(trees::get(*version).map(|folder| format!("device trees of Linux {version}, {}", folder.display())));
    }
    match missing {
        0 => Ok(()),
        some => bail!("{some} of these are missing; what to do stands above"),
    }
}
