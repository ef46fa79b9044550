//! A Rust toolchain that builds for bare-metal AArch64.
//!
//! Where the toolchain in use has the target, that is all. Else, on Debian, its `rustc-web` packages are installed and
//! `core`, `alloc` and `compiler_builtins` built from their sources, once, into a private sysroot. Else rustup is asked.

use super::machine::{self, Machine};
use crate::{process, ui, workspace};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The target of EL2 and of the bare-metal hosts and guests: no FP or SIMD registers are used behind the back of a VM.
pub const BARE_TARGET: &str = "aarch64-unknown-none-softfloat";

/// Debian's toolchain: compiler, cargo, the library's sources, clippy, rustfmt and LLVM's tools of one release.
const PACKAGES: [&str; 7] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-clippy",
    "rustfmt-web",
    "rust-web-llvm",
    "lld",
];

/// How long rustup may take to fetch a target (it is a few MB).
const RUSTUP_LIMIT: Duration = Duration::from_secs(180);

/// A dump at EL2 walks the frames. The target has no NEON: what sha2 would use it for, it does in software, and rustc
/// is not shown the code that it will refuse one day.
const BARE_FLAGS: &str = r#"-Cforce-frame-pointers=yes --cfg=sha2_backend="soft""#;

/// What cargo sets for the programs that it runs: none of it is meant for the next cargo.
const INHERITED: [&str; 14] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_CRATE_NAME",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "SYSROOT",
];

/// A toolchain that has [`BARE_TARGET`].
#[derive(Clone, Debug)]
pub struct Toolchain {
    cargo: PathBuf,
    /// The private sysroot, where the toolchain is Debian's.
    sysroot: Option<PathBuf>,
}

/// Finds a toolchain for [`BARE_TARGET`], or makes one.
///
/// # Errors
/// When there is none and none can be made; the error names the commands to run by hand.
pub fn get() -> Result<Toolchain> {
    if has_target(BARE_TARGET) {
        return Ok(Toolchain::own());
    }
    match Machine::debian() {
        Ok(machine) => debian(&machine),
        Err(no_debian) => rustup(BARE_TARGET).map_err(|error| error.context(no_debian)),
    }
}

impl Toolchain {
    /// The toolchain that runs xtask, as it is.
    pub(super) fn own() -> Toolchain {
        Toolchain {
            cargo: own_cargo(),
            sysroot: None,
        }
    }

    /// `cargo SUBCOMMAND` with the environment that this toolchain needs; built things go into `target/bare`.
    ///
    /// Bare-metal builds add `--target` [`BARE_TARGET`].
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = clean(&self.cargo);
        command
            .arg(subcommand)
            .current_dir(workspace::root())
            .env("CARGO_TARGET_DIR", workspace::target("bare"))
            .env("CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_RUSTFLAGS", BARE_FLAGS);
        if let Some(sysroot) = &self.sysroot {
            let bin = sysroot.join("bin");
            command
                .env("PATH", path_with(&[&bin, Path::new("/usr/bin")]))
                .env("RUSTC", bin.join("rustc"))
                .env("RUSTDOC", bin.join("rustdoc"))
                .env("SYSROOT", sysroot) // clippy's driver does not see the wrapper's --sysroot.
                .env("CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER", "ld.lld")
                .env_remove("RUSTUP_TOOLCHAIN");
        }
        command
    }

    /// The compiler, as it names itself.
    ///
    /// # Errors
    /// When it does not run.
    pub fn describe(&self) -> Result<String> {
        let rustc = match &self.sysroot {
            Some(sysroot) => sysroot.join("bin/rustc"),
            None => "rustc".into(),
        };
        Ok(process::output(Command::new(rustc).arg("-V"))?.trim().to_owned())
    }

    /// The private sysroot, where the toolchain is Debian's.
    pub(super) fn sysroot(&self) -> Option<&Path> {
        self.sysroot.as_deref()
    }
}

/// Whether the toolchain in use has the library of a target.
pub(super) fn has_target(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(workspace::root());
    let Ok(folder) = process::output(&mut command) else {
        return false;
    };
    std::fs::read_dir(folder.trim()).is_ok_and(|files| files.flatten().any(|file| is_library(&file.file_name())))
}

/// A command with nothing in its environment of the cargo that runs xtask.
pub(crate) fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for name in INHERITED {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_BIN_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The cargo that runs xtask.
pub(crate) fn own_cargo() -> PathBuf {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()).into()
}

fn is_library(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("libcore-") && name.ends_with(".rlib"))
}

fn path_with(first: &[&Path]) -> OsString {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let all = first
        .iter()
        .map(|folder| folder.to_path_buf())
        .chain(std::env::split_paths(&rest));
    std::env::join_paths(all).unwrap_or(rest)
}

/// Asks rustup for a target, with a bounded wait.
pub(super) fn rustup(target: &str) -> Result<Toolchain> {
    let add = format!("rustup target add {target}");
    if process::find("rustup").is_none() {
        return Err(ui::failure(
            format_args!("the Rust toolchain has no target {target}, and there is no rustup to add it"),
            "install rustup, or a toolchain that has the target",
        ));
    }
    ui::step(
        "Fetching",
        format_args!("the target {target} (`{add}`, at most {} s)", RUSTUP_LIMIT.as_secs()),
    );
    process::bounded(Command::new("rustup").args(["target", "add", target]), RUSTUP_LIMIT)
        .map_err(|error| ui::failure(error, format_args!("run `{add}` where rustup's server can be reached")))?;
    if !has_target(target) {
        bail!("`{add}` ended well, and yet rustc has no {target}: is the rustc on PATH rustup's?");
    }
    Ok(Toolchain::own())
}

/// Debian's toolchain, with a private sysroot for [`BARE_TARGET`].
pub(super) fn debian(machine: &Machine) -> Result<Toolchain> {
    if !machine::installed(&PACKAGES) || !new_enough()? {
        machine.install(
            &PACKAGES,
            None,
            "a Rust compiler with its library's sources, for bare-metal AArch64",
        )?;
    }
    let sysroot = workspace::target("toolchain/sysroot");
    let _lock = process::lock(&workspace::target("toolchain/lock"))?;
    let stamp = stamp(&sysroot)?;
    if std::fs::read_to_string(sysroot.join("stamp")).ok().as_deref() != Some(stamp.as_str()) {
        build_sysroot(&sysroot, &stamp).context("cannot build core and alloc for bare-metal AArch64")?;
    }
    Ok(Toolchain {
        cargo: "/usr/bin/cargo".into(),
        sysroot: Some(sysroot),
    })
}

/// Whether Debian's compiler is as new as the workspace asks for.
fn new_enough() -> Result<bool> {
    let version = process::output(Command::new("/usr/bin/rustc").arg("-V"))?;
    let found = release(&version).with_context(|| format!("`rustc -V` says {version:?}"))?;
    let needed = release(concat!("rustc ", env!("CARGO_PKG_RUST_VERSION"))).context("the workspace's rust-version")?;
    Ok(found >= needed)
}

/// Major and minor number of `rustc 1.96.0 (ac68faa20 2026-05-25)`.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix("rustc ")?.split(['.', '-', ' ']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// What a sysroot belongs to: the compiler, down to the package's revision, the target, and the place, which its
/// wrappers name.
fn stamp(sysroot: &Path) -> Result<String> {
    let compiler = process::output(Command::new("/usr/bin/rustc").arg("-vV"))?;
    let revision = machine::version_of("rust-web-src").unwrap_or_default();
    Ok(format!(
        "{compiler}package: {revision}\ntarget: {BARE_TARGET}\nplace: {}\n",
        sysroot.display()
    ))
}

/// The compiler's own triple, from `rustc -vV`.
fn host(version: &str) -> Result<&str> {
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("`rustc -vV` names no host")
}

fn build_sysroot(sysroot: &Path, stamp: &str) -> Result<()> {
    ui::step(
        "Building",
        format_args!("core and alloc for {BARE_TARGET} (once, about a minute)"),
    );
    let work = workspace::target("toolchain/build");
    // What an older compiler or a cut-short run has left is of no use to this one.
    for folder in [&work, sysroot, workspace::target("bare").as_path()] {
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    let built = build_library(&work)?;
    let rustlib = sysroot.join("lib/rustlib");
    let libraries = rustlib.join(BARE_TARGET).join("lib");
    std::fs::create_dir_all(&libraries)?;
    let mut copied = 0;
    for file in std::fs::read_dir(&built)? {
        let name = file?.file_name();
        let crates = ["libcore-", "liballoc-", "libcompiler_builtins-"];
        if name
            .to_str()
            .is_some_and(|name| name.ends_with(".rlib") && crates.iter().any(|c| name.starts_with(c)))
        {
            std::fs::copy(built.join(&name), libraries.join(&name))?;
            copied += 1;
        }
    }
    if copied != 3 {
        bail!("{} has {copied} of core, alloc and compiler_builtins", built.display());
    }
    let host = host(stamp)?;
    std::os::unix::fs::symlink(Path::new("/usr/lib/rustlib").join(host), rustlib.join(host))?;
    std::os::unix::fs::symlink("/usr/lib/rustlib/src", rustlib.join("src"))?;
    write_wrappers(sysroot)?;
    std::fs::write(sysroot.join("stamp"), stamp)?;
    std::fs::remove_dir_all(&work)?;
    Ok(())
}

/// Builds an empty crate with `-Zbuild-std`. Returns the folder with the library's crates.
fn build_library(work: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(work.join("src"))?;
    let manifest = "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
                    [profile.release]\npanic = \"abort\"\nopt-level = 3\n";
    std::fs::write(work.join("Cargo.toml"), manifest)?;
    std::fs::write(work.join("src/lib.rs"), "#![no_std]\n")?;
    let mut cargo = clean(Path::new("/usr/bin/cargo"));
    cargo
        .args(["build", "--release", "--target", BARE_TARGET])
        .args([
            "-Zbuild-std=core,alloc,compiler_builtins",
            "-Zbuild-std-features=compiler-builtins-mem",
        ])
        .current_dir(work)
        .env("PATH", path_with(&[Path::new("/usr/bin")]))
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        // As the library's own build has it: bitcode for LTO, and no unstable feature of it for its users.
        .env("RUSTFLAGS", "-Cembed-bitcode=yes -Zforce-unstable-if-unmarked")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env_remove("RUSTUP_TOOLCHAIN");
    process::quiet(&mut cargo)?;
    Ok(work.join("target").join(BARE_TARGET).join("release/deps"))
}

fn write_wrappers(sysroot: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let bin = sysroot.join("bin");
    std::fs::create_dir_all(&bin)?;
    for tool in ["rustc", "rustdoc", "clippy-driver"] {
        let file = bin.join(tool);
        let quoted = sysroot.display().to_string().replace('\'', r"'\''");
        std::fs::write(
            &file,
            format!("#!/bin/sh\nexec /usr/bin/{tool} --sysroot '{quoted}' \"$@\"\n"),
        )?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        assert_eq!(
            release("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)"),
            Some((1, 96))
        );
        assert!(release("rustc 1.100.0-nightly (x)") > release("rustc 1.95"));
        assert_eq!(release("cargo 1.96.0"), None);
    }

    #[test]
    fn the_host_is_the_compilers() {
        assert_eq!(
            host("rustc 1.96.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\n").unwrap(),
            "x86_64-unknown-linux-gnu"
        );
        assert!(host("rustc 1.96.0\n").is_err());
    }

    #[test]
    fn a_private_sysroot_is_used_by_every_tool() {
        let toolchain = Toolchain {
            cargo: "/usr/bin/cargo".into(),
            sysroot: Some("/s".into()),
        };
        let command = toolchain.cargo("clippy");
        let value = |name: &str| {
            let of_name = command.get_envs().find(|(found, _)| *found == name);
            of_name.map(|(_, value)| value.map(|value| value.to_string_lossy().into_owned()))
        };
        assert_eq!(value("RUSTC"), Some(Some("/s/bin/rustc".into())));
        assert_eq!(value("SYSROOT"), Some(Some("/s".into())));
        assert!(value("PATH").flatten().unwrap().starts_with("/s/bin:/usr/bin:"));
        // What a cargo or a rustup above has set is not there.
        for name in ["CARGO", "LD_LIBRARY_PATH", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            assert_eq!(value(name), Some(None), "{name}");
        }
    }
}
