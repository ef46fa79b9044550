//! `cargo xtask build`: the boards' images, and the bare-metal hosts and guests of the tests.

use crate::elf::{self, Section};
use crate::setup::toolchain::{self, BARE_TARGET, Toolchain};
use crate::{process, ui, workspace};
use anyhow::{Context, Result};
use cargo_metadata::{Artifact, Message, MetadataCommand};
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Builds a board's image and prints its memory map.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The board: a folder of `boards/`.
    #[arg(long, default_value = "qemu-virt")]
    pub board: String,
    /// How to build it.
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    pub profile: Profile,
    /// Features of the board's package to switch on.
    #[arg(long, value_delimiter = ',')]
    pub features: Vec<String>,
}

/// A cargo profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// Optimised, with overflow checks.
    Release,
    /// Not optimised.
    Dev,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Profile::Release => "release",
            Profile::Dev => "dev",
        }
    }
}

/// A bare-metal program, as an ELF file and as the flat binary that is loaded.
#[derive(Clone, Debug)]
pub struct Image {
    /// The ELF file: symbols, and defmt's strings.
    pub elf: PathBuf,
    /// The flat binary of its loaded sections, from the lowest address on.
    pub image: PathBuf,
    /// The lowest address: where the ELF file says that the flat binary begins.
    pub base: u64,
    /// The address at which it is entered.
    pub entry: u64,
    /// Bytes of the flat binary.
    pub bytes: u64,
    /// Bytes of memory from `base` on that it takes, with what is zeroed at start.
    pub memory: u64,
    /// The sections that take memory, by address.
    pub sections: Vec<Section>,
}

/// Builds the package `leasehold-NAME`.
///
/// # Errors
/// When there is no such board, or it does not build.
pub fn board(toolchain: &Toolchain, name: &str, profile: Profile, features: &[&str]) -> Result<Image> {
    if leasehold_boards::find(name).is_none() {
        let names: Vec<&str> = leasehold_boards::all().iter().map(|board| board.name).collect();
        return Err(ui::failure(
            format_args!("there is no board {name}"),
            format_args!("name one of {}", names.join(", ")),
        ));
    }
    let package = format!("leasehold-{name}");
    let mut cargo = bare_build(toolchain, &package, profile);
    cargo.args(["--bin", &package]);
    if !features.is_empty() {
        cargo.args(["--features", &features.join(",")]);
    }
    // Variants of a board are kept apart, so that a test's is not taken for the plain one.
    let variant: String = features.iter().map(|feature| format!("+{feature}")).collect();
    image(cargo, &package, &format!("{package}{variant}-{}", profile.name()))
}

/// The features that the package `leasehold-NAME` has.
///
/// # Errors
/// When cargo does not know the workspace, or there is no such board.
pub fn features(name: &str) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .current_dir(workspace::root())
        .exec()
        .context("cargo metadata failed")?;
    let package = metadata
        .packages
        .into_iter()
        .find(|package| *package.name == format!("leasehold-{name}"));
    let package = package.with_context(|| format!("there is no board {name}"))?;
    Ok(package.features.into_keys().collect())
}

/// Builds a program of the package `leasehold-guests`.
///
/// # Errors
/// When there is no such program, or it does not build.
pub fn guest(toolchain: &Toolchain, bin: &str) -> Result<Image> {
    program(toolchain, "leasehold-guests", bin)
}

/// Builds a program of the package `leasehold-units`.
///
/// # Errors
/// When there is no such program, or it does not build.
pub fn unit(toolchain: &Toolchain, bin: &str) -> Result<Image> {
    program(toolchain, "leasehold-units", bin)
}

/// Builds a program of the package `leasehold-examples`.
///
/// # Errors
/// When there is no such program, or it does not build.
pub fn example(toolchain: &Toolchain, bin: &str) -> Result<Image> {
    program(toolchain, "leasehold-examples", bin)
}

fn program(toolchain: &Toolchain, package: &str, bin: &str) -> Result<Image> {
    let mut cargo = bare_build(toolchain, package, Profile::Release);
    cargo.args(["--bin", bin]);
    image(cargo, bin, &format!("guest-{bin}"))
}

/// Runs the command.
///
/// # Errors
/// When the board does not build.
pub fn run(args: Args) -> Result<()> {
    let features: Vec<&str> = args.features.iter().map(String::as_str).collect();
    let image = board(&toolchain::get()?, &args.board, args.profile, &features)?;
    print!("{}", describe(&image));
    Ok(())
}

fn bare_build(toolchain: &Toolchain, package: &str, profile: Profile) -> Command {
    let mut cargo = toolchain.cargo("build");
    cargo.args([
        "--package",
        package,
        "--target",
        BARE_TARGET,
        "--profile",
        profile.name(),
    ]);
    cargo
}

/// Builds one program, and puts its ELF file and its flat binary into `target/images`.
pub(crate) fn image(cargo: Command, bin: &str, name: &str) -> Result<Image> {
    let built = executable(cargo, bin)?;
    let data = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let flat = elf::flatten(&data).with_context(|| format!("{} is no image", built.display()))?;
    let sections = elf::sections(&data)?;
    let folder = workspace::target("images");
    fs::create_dir_all(&folder)?;
    let (elf, image) = (folder.join(format!("{name}.elf")), folder.join(format!("{name}.bin")));
    replace(&elf, &data)?;
    replace(&image, &flat.bytes)?;
    Ok(Image {
        elf,
        image,
        base: flat.base,
        entry: flat.entry,
        bytes: flat.bytes.len() as u64,
        memory: flat.memory,
        sections,
    })
}

/// Writes a file in one step: a QEMU that has the old one open keeps it whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".{}", std::process::id()));
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Builds the plugin with which QEMU counts instructions, for this machine. Returns the shared library.
///
/// # Errors
/// When it does not build.
pub fn count_plugin() -> Result<PathBuf> {
    let mut cargo = toolchain::clean(&toolchain::own_cargo());
    cargo.args(["build", "--release", "--package", "leasehold-count-plugin"]);
    cargo.current_dir(workspace::root());
    product(cargo, "leasehold_count_plugin", |artifact| {
        artifact.filenames.first().cloned().map(Into::into)
    })
}

/// Runs a cargo build, which shows its own progress, and returns the program that it made.
pub(crate) fn executable(cargo: Command, bin: &str) -> Result<PathBuf> {
    product(cargo, bin, |artifact| artifact.executable.clone().map(Into::into))
}

/// Runs a cargo build, which shows its own progress, and returns what `pick` finds in the target of that name.
fn product(mut cargo: Command, name: &str, pick: impl Fn(&Artifact) -> Option<PathBuf>) -> Result<PathBuf> {
    cargo.args(["--message-format", "json-render-diagnostics"]);
    let shown = process::describe(&cargo);
    let mut child = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let mut made = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == name
        {
            made = pick(&artifact).or(made);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        anyhow::bail!("`{shown}` failed ({status}); the compiler's messages stand above");
    }
    made.with_context(|| format!("`{shown}` made no {name}"))
}

/// An image's memory map and sizes, as text.
fn describe(image: &Image) -> String {
    use std::fmt::Write;
    let mut text = format!("{:<18} {:>18} {:>10} access\n", "section", "address", "bytes");
    for section in &image.sections {
        let Section {
            name,
            address,
            size,
            access,
            loaded,
        } = section;
        let note = if *loaded { "" } else { "  zeroed at start" };
        let _ = writeln!(text, "{name:<18} {address:#18x} {size:>10} {access}{note}");
    }
    let _ = writeln!(text, "\n{}: {} bytes", image.image.display(), image.bytes);
    let _ = writeln!(text, "{}", image.elf.display());
    let _ = writeln!(
        text,
        "memory {:#x} to {:#x} ({} KiB), entered at {:#x}",
        image.base,
        image.base + image.memory,
        image.memory.div_ceil(1024),
        image.entry
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_map_has_a_line_for_each_section() {
        let section = |name: &str, address, loaded| Section {
            name: name.into(),
            address,
            size: 16,
            access: "r-x".into(),
            loaded,
        };
        let image = Image {
            elf: "x.elf".into(),
            image: "x.bin".into(),
            base: 0x4000_0000,
            entry: 0x4000_0000,
            bytes: 16,
            memory: 0x1010,
            sections: vec![section(".text", 0x4000_0000, true), section(".bss", 0x4000_1000, false)],
        };
        let text = describe(&image);
        assert!(
            text.contains(".text                      0x40000000         16 r-x\n"),
            "{text}"
        );
        assert!(
            text.contains(".bss                       0x40001000         16 r-x  zeroed at start\n"),
            "{text}"
        );
        assert!(text.contains("memory 0x40000000 to 0x40001010 (5 KiB)"), "{text}");
    }
}
