//! The Debian machine that xtask runs on: where its archive is, what is installed, and how more gets installed.

use super::debian::Release;
use crate::{process, ui, workspace};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The key that signs Debian's archive, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where the archive is when the machine's own sources do not say.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";
const DEFAULT_SECURITY: &str = "http://deb.debian.org/debian-security";

/// A Debian machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The release's name: `bookworm`.
    pub codename: String,
    /// The archive.
    pub mirror: String,
    /// The archive of security updates.
    pub security: String,
}

impl Machine {
    /// This machine, where it is a Debian one.
    ///
    /// # Errors
    /// When it is none; the error says which file tells so.
    pub fn debian() -> Result<Machine> {
        let release =
            std::fs::read_to_string("/etc/os-release").context("this is no Debian machine: no /etc/os-release")?;
        let codename = codename(&release)
            .filter(|_| process::find("apt-get").is_some() && Path::new(KEYRING).exists())
            .ok_or_else(|| {
                ui::failure(
                    "this is no Debian machine (by /etc/os-release, apt-get and debian-archive-keyring)",
                    "run it on Debian 12 or newer, or in a container of it",
                )
            })?;
        let uris = process::output(Command::new("apt-get").args(["update", "--print-uris"])).unwrap_or_default();
        Ok(Machine::with_sources(codename, &uris))
    }

    /// `uris` is what `apt-get update --print-uris` prints: `'URI' file size hash`, a line for each index file.
    fn with_sources(codename: String, uris: &str) -> Machine {
        let of_suite = |wanted: &str| {
            let suffix = format!("/dists/{wanted}/InRelease'");
            let word = uris
                .lines()
                .filter_map(|line| line.split(' ').next())
                .find(|word| word.ends_with(&suffix))?;
            Some(word[..word.len() - suffix.len()].trim_start_matches('\'').to_owned())
        };
        let mirror = [codename.as_str(), "stable"].into_iter().find_map(of_suite);
        let security = [format!("{codename}-security"), "stable-security".into()]
            .iter()
            .find_map(|suite| of_suite(suite));
        Machine {
            mirror: mirror.unwrap_or_else(|| DEFAULT_MIRROR.into()),
            security: security.unwrap_or_else(|| DEFAULT_SECURITY.into()),
            codename,
        }
    }

    /// Lines of a sources list: a release, its security updates and its backports. A release that is not out yet has
    /// neither of the latter.
    pub fn sources(&self, release: &str, architectures: &[&str]) -> String {
        let options = match architectures {
            [] => format!("[signed-by={KEYRING}]"),
            some => format!("[signed-by={KEYRING} arch={}]", some.join(",")),
        };
        let (mirror, security) = (&self.mirror, &self.security);
        let mut text = format!("deb {options} {mirror} {release} main\n");
        if Release::named(release).is_some() {
            let _ = writeln!(text, "deb {options} {security} {release}-security main");
            let _ = writeln!(text, "deb {options} {mirror} {release}-backports main");
        }
        text
    }

    /// Installs those of `packages` that are missing or older than the archive's, after saying so.
    ///
    /// The machine's own package lists and sources stay as they are: the lists of this run are under `target/debian`.
    ///
    /// # Errors
    /// When it may not (neither root nor `sudo -n`), with the command to run by hand, or when apt fails.
    pub fn install(&self, packages: &[&str], suite: Option<&str>, reason: &str) -> Result<()> {
        let suite_args: Vec<&str> = suite.map_or(vec![], |suite| vec!["-t", suite]);
        let by_hand = self.by_hand(packages, suite);
        let Some(root) = Root::find() else {
            return Err(ui::failure(
                format_args!(
                    "{reason}: packages are missing, and neither root nor `sudo -n` is at hand to install them"
                ),
                format_args!("run\n{by_hand}"),
            ));
        };
        let names = packages.join(" ");
        ui::step(
            "Installing",
            format_args!("{names} from Debian's archive, {} ({reason})", root.name()),
        );
        let _lock = process::lock(&workspace::target("debian/install.lock"))?;
        let config = self.private_lists()?;
        let apt = |verb: &str| {
            let mut command = root.command("apt-get");
            command.arg("-c").arg(&config).args(["-q", verb]);
            command
        };
        process::quiet(&mut apt("update")).context("cannot read Debian's archive")?;
        // Nothing that is there is removed for it: that is for the machine's owner to decide.
        let flags = ["--yes", "--no-install-recommends", "--no-remove"];
        process::quiet(apt("install").args(flags).args(suite_args).args(packages)).map_err(|error| {
            ui::failure(
                error,
                format_args!("see what stands in the way, and whether it may be removed, with\n{by_hand}"),
            )
        })
    }

    /// Writes a configuration that makes apt use sources and lists of our own, while it installs on this machine.
    fn private_lists(&self) -> Result<PathBuf> {
        let folder = workspace::target("debian/machine");
        std::fs::create_dir_all(folder.join("lists/partial"))?;
        std::fs::write(folder.join("sources.list"), self.sources(&self.codename, &[]))?;
        let at = folder.display();
        let config = folder.join("apt.conf");
        let text = format!(
            "Dir::Etc::sourcelist \"{at}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::State::lists \"{at}/lists\";\n\
             Dir::Cache::pkgcache \"{at}/pkgcache.bin\";\n\
             Dir::Cache::srcpkgcache \"{at}/srcpkgcache.bin\";\n\
             Acquire::Languages \"none\";\n\
             APT::Sandbox::User \"root\";\n\
             DPkg::Lock::Timeout \"300\";\n"
        );
        std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        Ok(config)
    }

    fn by_hand(&self, packages: &[&str], suite: Option<&str>) -> String {
        let mut text = String::new();
        if let Some(suite) = suite {
            let _ = writeln!(
                text,
                "    echo 'deb {} {suite} main' | sudo tee /etc/apt/sources.list.d/{suite}.list",
                self.mirror
            );
        }
        let target = suite.map(|suite| format!("-t {suite} ")).unwrap_or_default();
        let packages = packages.join(" ");
        let _ = write!(
            text,
            "    sudo apt-get update && sudo apt-get install --no-install-recommends {target}{packages}"
        );
        text
    }
}

/// Whether each of these packages is installed on this machine.
pub fn installed(packages: &[&str]) -> bool {
    packages.iter().all(|package| version_of(package).is_some())
}

/// The version of an installed package.
pub fn version_of(package: &str) -> Option<String> {
    let mut command = Command::new("dpkg-query");
    command.args(["-W", "-f=${db:Status-Status} ${Version}\n", package]);
    let text = process::output(&mut command).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("installed "))
        .map(str::to_owned)
}

fn codename(os_release: &str) -> Option<String> {
    let value = |key: &str| {
        os_release
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .map(|value| value.trim_matches('"').to_owned())
    };
    (value("ID=")? == "debian")
        .then(|| value("VERSION_CODENAME="))
        .flatten()
}

/// A way to act as root.
#[derive(Clone, Copy, Debug)]
enum Root {
    Already,
    Sudo,
}

impl Root {
    fn find() -> Option<Root> {
        // The owner of /proc/self is the effective user.
        if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            return Some(Root::Already);
        }
        process::quiet(Command::new("sudo").args(["-n", "true"]))
            .is_ok()
            .then_some(Root::Sudo)
    }

    fn name(self) -> &'static str {
        match self {
            Root::Already => "as root",
            Root::Sudo => "by sudo",
        }
    }

    fn command(self, program: &str) -> Command {
        let mut command = match self {
            Root::Already => Command::new(program),
            Root::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", "DEBIAN_FRONTEND=noninteractive", program]);
                command
            }
        };
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// `qemu-system-aarch64` and the like, by a path that `PATH` leads to after an installation.
pub fn program(name: &str) -> Option<PathBuf> {
    process::find(name).or_else(|| Some(Path::new("/usr/bin").join(name)).filter(|file| file.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_only_from_debian() {
        assert_eq!(
            codename("ID=debian\nVERSION_CODENAME=bookworm\n").as_deref(),
            Some("bookworm")
        );
        assert_eq!(
            codename("VERSION_CODENAME=\"trixie\"\nID=\"debian\"\n").as_deref(),
            Some("trixie")
        );
        assert_eq!(codename("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"), None);
    }

    #[test]
    fn mirrors_come_from_the_machines_own_sources() {
        let uris = "\
            'https://deb.nodesource.com/node_20.x/dists/nodistro/InRelease' x 0 \n\
            'http://mirror.example/debian/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0 \n\
            'http://mirror.example/debian/dists/bookworm-updates/InRelease' y 0 \n\
            'http://mirror.example/sec/dists/bookworm-security/InRelease' z 0 \n";
        let machine = Machine::with_sources("bookworm".into(), uris);
        assert_eq!(machine.mirror, "http://mirror.example/debian");
        assert_eq!(machine.security, "http://mirror.example/sec");
        let bare = Machine::with_sources("bookworm".into(), "");
        assert_eq!(
            (bare.mirror.as_str(), bare.security.as_str()),
            (DEFAULT_MIRROR, DEFAULT_SECURITY)
        );
    }

    #[test]
    fn only_releases_that_are_out_have_updates_and_backports() {
        let machine = Machine::with_sources("bookworm".into(), "");
        let suites = |release| {
            let text = machine.sources(release, &["arm64"]);
            text.lines()
                .filter_map(|line| line.split(' ').nth(4))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            suites("bookworm"),
            ["bookworm", "bookworm-security", "bookworm-backports"]
        );
        assert_eq!(suites("sid"), ["sid"]);
    }

    #[test]
    fn the_command_by_hand_adds_the_suite() {
        let machine = Machine::with_sources("bookworm".into(), "");
        let text = machine.by_hand(&["qemu-system-arm"], Some("bookworm-backports"));
        assert!(
            text.contains("deb http://deb.debian.org/debian bookworm-backports main"),
            "{text}"
        );
        assert!(
            text.ends_with("--no-install-recommends -t bookworm-backports qemu-system-arm"),
            "{text}"
        );
        assert!(!machine.by_hand(&["make"], None).contains("tee"));
    }
}
