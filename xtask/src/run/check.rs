//! What the command line asks for, checked before anything is set up or built.

use super::{Args, HostKind, KernelChoice};
use crate::{process, ui};
use anyhow::{Context, Result};
use leasehold_hyp_core::fault::{Class, Mechanism, Policy};
use leasehold_hyp_core::layout::MAX_CPUS;
use leasehold_tests::{ImageHeader, Layout, MIB};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Every mechanism; of aborts those that have a name.
const LINKS: [Mechanism; 12] = [
    Mechanism::EXTERNAL_ABORT,
    Mechanism::ALIGNMENT_ABORT,
    Mechanism::TRANSLATION_ABORT,
    Mechanism::TAG_CHECK_ABORT,
    Mechanism::GRANULE_ABORT,
    Mechanism::TaggedAbort,
    Mechanism::NewSyndrome,
    Mechanism::Sdei,
    Mechanism::Decoy,
    Mechanism::ForceReclaim,
    Mechanism::Unmapped,
    Mechanism::Halt,
];

/// Whether the values make sense by themselves, and together.
///
/// # Errors
/// What is wrong with the first that does not, and what to do.
pub(super) fn values(args: &Args) -> Result<()> {
    cpus(args.smp, args.gic)?;
    fault(args.fault.as_deref())?;
    if args.host == HostKind::Demo && (args.kernel.is_some() || args.headers.is_some()) {
        return Err(ui::failure(
            "--kernel and --headers are for --host linux; the bare-metal host brings its own kernel",
            "leave one of the two out",
        ));
    }
    let initrd = args.initrd.as_deref().map(initrd).transpose()?;
    let kernel = match &args.kernel {
        Some(KernelChoice::Path(path)) => {
            let kernel = args.find_kernel()?;
            if args.initrd.is_none() && kernel.headers.is_none() {
                return Err(ui::failure(
                    "the driver cannot be built for a kernel of your own without its headers",
                    "name them with --headers DIR, or bring an initrd of your own with --initrd PATH",
                ));
            }
            ImageHeader::read(path)?
        }
        _ if args.headers.is_some() => args.find_kernel().map(|_| None)?,
        _ => None,
    };
    // What is not known yet, as an initrd that is still to be built, is looked at again when it is there.
    Layout::plan(args.mem, kernel, initrd).with_context(|| format!("--mem {}M is too little", args.mem / MIB))?;
    if args.gdb { port(super::GDB_PORT) } else { Ok(()) }
}

/// Whether QEMU has this CPU.
///
/// # Errors
/// When it has not, or cannot be asked.
pub(super) fn cpu(qemu: &Path, cpu: &str) -> Result<()> {
    let list = process::output(Command::new(qemu).args(["-M", "virt", "-cpu", "help"]))?;
    let model = cpu.split(',').next().unwrap_or_default();
    if list.split_whitespace().any(|word| word == model) {
        return Ok(());
    }
    Err(ui::failure(
        format_args!("--cpu {cpu}: QEMU has no CPU of this name"),
        format_args!(
            "give cortex-a53, cortex-a72 or max; `{} -M virt -cpu help` lists all",
            qemu.display()
        ),
    ))
}

/// How many CPUs a GICv2 can tell apart (Arm IHI 0048, GICD_TYPER.CPUNumber).
const MAX_CPUS_GICV2: u32 = 8;

fn cpus(smp: u32, gic: u8) -> Result<()> {
    if gic == 2 && smp > MAX_CPUS_GICV2 {
        return Err(ui::failure(
            format_args!("--smp {smp}: a GICv2 has {MAX_CPUS_GICV2} CPUs at most"),
            "give fewer, or --gic 3",
        ));
    }
    if (1..=MAX_CPUS).contains(&(smp as usize)) {
        return Ok(());
    }
    Err(ui::failure(
        format_args!("--smp {smp}: Leasehold runs on 1 to {MAX_CPUS} CPUs"),
        format_args!("give a number from 1 to {MAX_CPUS}"),
    ))
}

/// Reads the policy as EL2 will.
fn fault(spec: Option<&str>) -> Result<()> {
    let Some(spec) = spec else { return Ok(()) };
    if spec.contains(char::is_whitespace) {
        return Err(ui::failure(
            format_args!("--fault '{spec}' has a blank in it"),
            "leave blanks out: it is one word of EL2's command line",
        ));
    }
    let Err(error) = Policy::parse(spec, &Policy::DEFAULT) else {
        return Ok(());
    };
    let classes: Vec<_> = Class::ALL.iter().map(|class| class.name()).collect();
    let policies: Vec<_> = Policy::NAMED.iter().map(|(name, _)| *name).collect();
    Err(ui::failure(
        format_args!("--fault '{spec}': {error}"),
        format_args!(
            "give CLASS=LINK,LINK;… or a policy's name\n  classes: all, {}\n  links: {}, abort(CODE)\n  policies: {}",
            classes.join(", "),
            LINKS.map(|link| link.to_string()).join(", "),
            policies.join(", "),
        ),
    ))
}

fn initrd(path: &Path) -> Result<u64> {
    let found = std::fs::metadata(path).and_then(|file| {
        if file.is_file() {
            Ok(file.len())
        } else {
            Err(std::io::Error::other("it is no file"))
        }
    });
    found.map_err(|error| {
        ui::failure(
            format_args!("--initrd {}: {error}", path.display()),
            "name a file: for Linux an initramfs, for the bare-metal host a guest's flat binary",
        )
    })
}

fn port(port: u16) -> Result<()> {
    let free = TcpListener::bind(("127.0.0.1", port)).map(drop);
    free.map_err(|error| {
        ui::failure(
            format_args!("--gdb: port {port} cannot be used: {error}"),
            "end what holds it, mostly another run with --gdb",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::args;
    use super::*;
    use clap::Args as _;
    use std::collections::BTreeSet;

    fn refusal(line: &str) -> String {
        values(&args(line)).expect_err(line).to_string()
    }

    #[test]
    fn what_makes_sense_passes() {
        for line in [
            "",
            "--host demo --smp 8 --mem 4G --gic 2",
            "--smp 1 --fault all=halt",
            "--fault gunyah",
        ] {
            values(&args(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn help_names_every_link() {
        let kinds: BTreeSet<_> = LINKS.iter().map(|link| link.kind()).collect();
        assert_eq!(kinds.len(), Mechanism::KINDS);
        let command = Args::augment_args(clap::Command::new("run"));
        let fault = command.get_arguments().find(|arg| arg.get_id() == "fault").unwrap();
        let help = fault.get_long_help().unwrap().to_string();
        let links = help.split_once("Links: ").unwrap().1.split_once('.').unwrap().0;
        let named: Vec<_> = links.split([',', ' ', '\n']).filter(|word| !word.is_empty()).collect();
        let mut expected: Vec<_> = LINKS.iter().map(ToString::to_string).collect();
        expected.insert(5, "abort(CODE)".to_owned());
        assert_eq!(named, expected);
    }

    #[test]
    fn each_refusal_names_the_option_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text");
        std::fs::write(&text, "no kernel").unwrap();
        let text = format!("--kernel {}", text.display());
        for (line, part) in [
            ("--smp 0", "1 to 12"),
            ("--smp 9 --gic 2", "GICv2"),
            ("--smp 13", "--smp 13"),
            ("--fault all=nonsense", "no mechanism is called \"nonsense\""),
            ("--fault nobody=halt", "links: external-abort"),
            ("--fault nobody", "policies: default, bring-up, gunyah, pkvm"),
            ("--fault all=", "--fault 'all='"),
            ("--initrd /nowhere/initrd", "--initrd /nowhere/initrd: No such file"),
            ("--initrd /", "it is no file"),
            ("--host demo --kernel 6.1", "--host linux"),
            ("--host demo --headers /x", "--host linux"),
            ("--headers /x", "--headers"),
            ("--kernel /nowhere/Image", "--kernel /nowhere/Image"),
            (&text, "--kernel"),
            ("--mem 16M", "--mem 16M"),
        ] {
            let refusal = refusal(line);
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_no_debugger_s() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let number = taken.local_addr().unwrap().port();
        assert!(port(number).is_err());
        drop(taken);
        assert!(port(number).is_ok());
    }
}
