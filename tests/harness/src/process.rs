//! QEMU as a process that never outlives its harness.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often to look whether it has ended.
const POLL: Duration = Duration::from_millis(20);
/// How long EL2 is given for the rest of its dump once it says that it stops.
const DUMP_TIME: Duration = Duration::from_millis(500);

/// Tells a child's supervisor to end it. Telling it twice, or too late, does nothing.
#[derive(Clone)]
pub(crate) struct Killer(SyncSender<Kill>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    Now,
    AfterDump,
    AsLate,
}

impl Killer {
    /// Ends the child.
    pub(crate) fn kill(&self) {
        // A full or closed channel: the supervisor has been told, or the child has ended.
        let _ = self.0.try_send(Kill::Now);
    }

    /// Ends the child in [`DUMP_TIME`].
    pub(crate) fn kill_after_dump(&self) {
        let _ = self.0.try_send(Kill::AfterDump);
    }

    /// Ends the child as though its time were up.
    pub(crate) fn kill_as_late(&self) {
        let _ = self.0.try_send(Kill::AsLate);
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    /// None when it could not be waited for.
    pub(crate) status: Option<ExitStatus>,
    /// It was ended because its time was up.
    pub(crate) timed_out: bool,
}

/// A child process, with a thread that ends it when its time is up, or when this value is dropped.
pub(crate) struct Process {
    killer: Killer,
    supervisor: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts `command` for `limit` at most. `at_end` is called when it has ended; `at_limit` before it is ended because
    /// its time is up.
    pub(crate) fn spawn(
        command: Command,
        limit: Option<Duration>,
        at_limit: impl FnOnce() + Send + 'static,
        at_end: impl FnOnce(Exit) + Send + 'static,
    ) -> io::Result<Process> {
        let (kill, killed) = mpsc::sync_channel(1);
        let (started, start) = mpsc::sync_channel(1);
        // The child dies with the thread that started it (see `dies_with_parent`), so that thread must wait for it.
        let supervisor = thread::Builder::new().name("supervisor".into()).spawn(move || {
            let mut command = command;
            match command.spawn() {
                Ok(child) => {
                    let _ = started.send(Ok(()));
                    at_end(supervise(child, &killed, limit, at_limit));
                }
                Err(error) => drop(started.send(Err(error))),
            }
        })?;
        start.recv().map_err(io::Error::other)??;
        Ok(Process {
            killer: Killer(kill),
            supervisor: Some(supervisor),
        })
    }

    pub(crate) fn killer(&self) -> Killer {
        self.killer.clone()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.killer.kill();
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

fn supervise(mut child: Child, killed: &Receiver<Kill>, limit: Option<Duration>, at_limit: impl FnOnce()) -> Exit {
    let start = Instant::now();
    let mut dumped = None;
    let timed_out = loop {
        match killed.recv_timeout(POLL) {
            Ok(Kill::AfterDump) => dumped = Some(Instant::now() + DUMP_TIME),
            Ok(Kill::Now) | Err(RecvTimeoutError::Disconnected) => break false,
            Ok(Kill::AsLate) => break true,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Exit {
                status: Some(status),
                timed_out: false,
            };
        }
        if dumped.is_some_and(|until| Instant::now() >= until) {
            break false;
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            break true;
        }
    };
    if timed_out {
        at_limit();
    }
    let _ = child.kill();
    Exit {
        status: child.wait().ok(),
        timed_out,
    }
}

/// `program` as a command that Linux kills when the thread that starts it ends, however that comes about.
///
/// Where `setpriv` (util-linux) is missing it is the plain command: it still ends with [`Process`], but not when the
/// harness is killed hard.
pub(crate) fn dies_with_parent(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// What a child writes on its standard output and error goes into this file.
pub(crate) fn output_to(command: &mut Command, path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    command
        .stdin(std::process::Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file);
    Ok(())
}
