//! A machine to be started: QEMU's `virt`, or another, with Leasehold and its host, or with a kernel alone.

mod command;

use crate::error::Error;
use crate::hardware::Hardware;
use crate::layout::{Layout, MIB, RAM};
use crate::process::{Process, dies_with_parent, output_to};
use crate::run::{Parts, Run};
use crate::streams::{self, Channel, Endpoint, Message, Sink};
use leasehold_flash::stream::LogDecoder;
use leasehold_memory_map::PhysAddr;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use command::read_header;

/// The file that gets what QEMU itself prints.
pub(crate) const QEMU_OUTPUT: &str = "qemu.log";
/// How long QEMU may take to connect to its channels.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);

/// A board's image, as cargo's ELF file and as the flat arm64 `Image` made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// The ELF file: the strings of its log.
    pub elf: PathBuf,
    /// The flat image, which QEMU starts.
    pub image: PathBuf,
}

/// The interrupt controller of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gic {
    /// GICv2, for eight CPUs at most.
    V2,
    /// GICv3.
    #[default]
    V3,
}

/// A program that QEMU starts in Leasehold's place, and that is to jump to it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Loader {
    program: PathBuf,
    leasehold: PhysAddr,
}

/// A machine to be started.
///
/// ```no_run
/// use leasehold_tests::{Board, Machine};
/// use std::time::Duration;
/// # fn main() -> Result<(), leasehold_tests::Error> {
/// let board = Board { elf: "leasehold-qemu-virt".into(), image: "leasehold-qemu-virt.img".into() };
/// let mut run = Machine::leasehold("hello", board).kernel("vmlinuz").bootargs("console=ttyAMA0").smp(4).start()?;
/// run.wait_for("hello", Duration::from_secs(30))?;
/// let outcome = run.finish(Duration::from_secs(30));
/// assert!(outcome.end.is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Machine {
    name: String,
    board: Option<Board>,
    hardware: Hardware,
    loader: Option<Loader>,
    kernel: Option<PathBuf>,
    initrd: Option<PathBuf>,
    dtb: Option<PathBuf>,
    bootargs: String,
    el2_args: Vec<String>,
    cpu: String,
    smp: u32,
    memory: u64,
    gic: Gic,
    virtualization: bool,
    edu: bool,
    its: bool,
    gdb: Option<u16>,
    extra: Vec<OsString>,
    qemu: PathBuf,
    dir: PathBuf,
    limit: Option<Duration>,
}

impl Machine {
    /// A machine that starts Leasehold at EL2. `name` is a folder's: two runs at a time must differ in it.
    pub fn leasehold(name: &str, board: Board) -> Machine {
        Machine {
            board: Some(board),
            virtualization: true,
            ..Machine::bare(name)
        }
    }

    /// The same on another of QEMU's machines, with as many CPUs as it has, in place of `virt`.
    pub fn leasehold_on(hardware: Hardware, name: &str, board: Board) -> Machine {
        Machine {
            hardware,
            smp: hardware.cpus(),
            ..Machine::leasehold(name, board)
        }
    }

    /// The same machine without Leasehold, and without EL2: it starts the host's kernel at EL1.
    pub fn bare(name: &str) -> Machine {
        let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
        let name: String = name.chars().map(|it| if is_plain(it) { it } else { '-' }).collect();
        let dir = run_root().join(&name);
        Machine {
            name,
            board: None,
            hardware: Hardware::Virt,
            loader: None,
            kernel: None,
            initrd: None,
            dtb: None,
            bootargs: String::new(),
            el2_args: Vec::new(),
            cpu: "max,pauth-impdef=on".to_owned(),
            smp: 2,
            memory: 1024 * MIB,
            gic: Gic::default(),
            virtualization: false,
            edu: false,
            its: false,
            gdb: None,
            extra: Vec::new(),
            qemu: "qemu-system-aarch64".into(),
            dir,
            limit: Some(Duration::from_secs(60)),
        }
    }

    /// The host's kernel: an arm64 `Image`, of Linux or of a bare-metal host.
    pub fn kernel(mut self, path: impl Into<PathBuf>) -> Machine {
        self.kernel = Some(path.into());
        self
    }

    /// Lets QEMU start this arm64 `Image` at EL2 instead of Leasehold, whose image then lies at `leasehold`.
    pub fn started_by(mut self, program: impl Into<PathBuf>, leasehold: PhysAddr) -> Machine {
        let program = program.into();
        self.loader = Some(Loader { program, leasehold });
        self
    }

    /// The host's initrd.
    pub fn initrd(mut self, path: impl Into<PathBuf>) -> Machine {
        self.initrd = Some(path.into());
        self
    }

    /// A device tree for a kernel alone, instead of QEMU's. QEMU writes memory, `/chosen` and `/psci` into it.
    pub fn dtb(mut self, path: impl Into<PathBuf>) -> Machine {
        self.dtb = Some(path.into());
        self
    }

    /// The host's command line.
    pub fn bootargs(mut self, bootargs: impl Into<String>) -> Machine {
        self.bootargs = bootargs.into();
        self
    }

    /// A word of EL2's own command line, as `leasehold.log=debug`.
    pub fn el2_arg(mut self, word: impl Into<String>) -> Machine {
        self.el2_args.push(word.into());
        self
    }

    /// The CPU model, as QEMU's `-cpu` takes it.
    pub fn cpu(mut self, model: impl Into<String>) -> Machine {
        self.cpu = model.into();
        self
    }

    /// How many CPUs.
    pub fn smp(mut self, cpus: u32) -> Machine {
        self.smp = cpus;
        self
    }

    /// How much RAM, in bytes, rounded up to whole mebibytes.
    pub fn memory(mut self, bytes: u64) -> Machine {
        self.memory = bytes.div_ceil(MIB).saturating_mul(MIB);
        self
    }

    /// The interrupt controller.
    pub fn gic(mut self, gic: Gic) -> Machine {
        self.gic = gic;
        self
    }

    /// Whether the CPUs have EL2.
    pub fn virtualization(mut self, on: bool) -> Machine {
        self.virtualization = on;
        self
    }

    /// Adds the `edu` device, a DMA master behind the SMMU at 00:01.0. QEMU wants a way to deliver MSIs for it, so it
    /// brings the ITS with it where the GIC is GICv3.
    pub fn edu(mut self) -> Machine {
        self.edu = true;
        self
    }

    /// Gives a GICv3 an ITS. Without it there is one only where [`Machine::edu`] needs it.
    pub fn its(mut self) -> Machine {
        self.its = true;
        self
    }

    /// Waits for a debugger on this port of the machine's own, and lets the run take as long as it likes.
    pub fn gdb(mut self, port: u16) -> Machine {
        self.gdb = Some(port);
        self.limit = None;
        self
    }

    /// Arguments for QEMU beside those that the other methods stand for: `-icount`, `-plugin`, `-seed`.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Machine {
        self.extra.extend(args.into_iter().map(Into::into));
        self
    }

    /// The QEMU to start; without it the one on `PATH`.
    pub fn qemu(mut self, program: impl Into<PathBuf>) -> Machine {
        self.qemu = program.into();
        self
    }

    /// The folder for the streams; without it `target/run/NAME`. What is in it is deleted.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Machine {
        self.dir = dir.into();
        self
    }

    /// How long the run may take at most, whatever is waited for; without it 60 s.
    pub fn limit(mut self, limit: Option<Duration>) -> Machine {
        self.limit = limit;
        self
    }

    /// The folder for the streams.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// How much RAM, in bytes.
    pub fn memory_size(&self) -> u64 {
        self.memory
    }

    /// The address of the host's first instruction; of RAM's start where it has no kernel.
    ///
    /// # Errors
    /// As for [`Machine::arguments`].
    pub fn host_entry(&self) -> Result<PhysAddr, Error> {
        let kernel = self.kernel.as_deref().map(read_header).transpose()?;
        let entry = match &self.board {
            Some(_) => self.layout()?.kernel,
            None => kernel.map(Layout::direct),
        };
        Ok(entry.unwrap_or(RAM))
    }

    /// Starts QEMU.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be, memory does not hold them all, or QEMU does not start.
    /// When QEMU starts and ends at once, that is the end of the [`Run`].
    pub fn start(&self) -> Result<Run, Error> {
        let decoder = self.board.as_ref().map(Board::decoder).transpose()?;
        self.make_dir()?;
        let sockets = tempfile::Builder::new().prefix("leasehold-").tempdir();
        let sockets = sockets.map_err(Error::file(std::env::temp_dir()))?;
        let endpoint = |name: &str| {
            let path = sockets.path().join(name);
            Endpoint::bind(path.clone()).map_err(Error::file(path))
        };
        let [host, el2, monitor] = [endpoint("host")?, endpoint("el2")?, endpoint("monitor")?];
        let mut command = dies_with_parent(&self.qemu);
        command.args(self.arguments(host.path(), el2.path(), monitor.path())?);
        self.launch(command, [host, el2, monitor], decoder)
    }

    fn launch(
        &self,
        mut command: Command,
        [host, el2, monitor]: [Endpoint; 3],
        decoder: Option<LogDecoder>,
    ) -> Result<Run, Error> {
        let output = self.dir.join(QEMU_OUTPUT);
        output_to(&mut command, &output).map_err(Error::file(output))?;
        let (sender, messages) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let monitor_stream = Arc::new(Mutex::new(None::<UnixStream>));
        let start = Instant::now();
        let at_limit = {
            let (monitor, dir) = (Arc::clone(&monitor_stream), self.dir.clone());
            move || {
                let monitor = monitor.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(monitor) = monitor {
                    streams::dump_cpus(monitor, &dir);
                }
            }
        };
        let at_end = {
            let (over, sender) = (Arc::clone(&over), sender.clone());
            move |exit| {
                over.store(true, Ordering::Release);
                let _ = sender.send(Message::Exited(exit));
            }
        };
        let process = Process::spawn(command, self.limit, at_limit, at_end).map_err(|error| Error::Start {
            program: self.qemu.clone(),
            error,
        })?;
        let sink = Sink {
            messages: sender,
            killer: process.killer(),
        };
        let until = start + CONNECT_LIMIT;
        let mut channels = Vec::new();
        let host = host.accept(&over, until);
        let console = host.as_ref().and_then(|host| host.try_clone().ok());
        if let Some(host) = host {
            streams::read_host(host, &self.dir, sink.clone()).map_err(Error::file(&self.dir))?;
            channels.push(Channel::Host);
        }
        if let Some(decoder) = decoder
            && let Some(el2) = el2.accept(&over, until)
        {
            streams::read_el2(el2, &self.dir, decoder, sink).map_err(Error::file(&self.dir))?;
            channels.push(Channel::El2);
        }
        *monitor_stream.lock().unwrap_or_else(PoisonError::into_inner) = monitor.accept(&over, until);
        let dir = self.dir.clone();
        Ok(Run::new(Parts {
            messages,
            process,
            console,
            start,
            limit: self.limit,
            dir,
            channels,
        }))
    }

    fn make_dir(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(&self.dir)(error)),
            _ => fs::create_dir_all(&self.dir).map_err(Error::file(&self.dir)),
        }
    }
}

impl Board {
    fn decoder(&self) -> Result<LogDecoder, Error> {
        let elf = fs::read(&self.elf).map_err(Error::file(&self.elf))?;
        LogDecoder::new(&elf).map_err(|error| Error::Log {
            path: self.elf.clone(),
            error,
        })
    }
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// `target/run` of the workspace, or what `LEASEHOLD_RUN_DIR` names.
fn run_root() -> PathBuf {
    std::env::var_os("LEASEHOLD_RUN_DIR").map_or_else(|| workspace().join("target/run"), PathBuf::from)
}
