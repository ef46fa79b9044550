//! The channels of a running machine: read as they come, written to files, passed on in order of arrival.

use crate::machine::workspace;
use crate::process::{Exit, Killer};
use leasehold_flash::stream::{Event, Formatter, LogDecoder};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// How much one channel may carry, in bytes. A host that writes more has gone astray; the rest is not kept.
pub const CHANNEL_LIMIT: u64 = 64 << 20;

/// The file that gets every CPU's registers when a run hangs.
pub(crate) const CPUS: &str = "cpus.txt";

/// How often to look whether QEMU has connected.
const POLL: Duration = Duration::from_millis(5);

/// What a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Host,
    El2,
}

/// What the threads of a run tell it.
pub(crate) enum Message {
    /// Bytes of the host's console.
    Host(Instant, Vec<u8>),
    /// An event of EL2's log.
    El2(Instant, Event),
    /// A channel carried more than [`CHANNEL_LIMIT`].
    Flooded(Channel),
    /// A channel's file could not be written.
    Broken(Channel, io::Error),
    /// A channel has ended.
    Closed(Channel),
    /// QEMU has ended.
    Exited(Exit),
}

/// A listening socket that QEMU connects to as it starts, so that not a byte is lost.
pub(crate) struct Endpoint {
    listener: UnixListener,
    path: PathBuf,
}

impl Endpoint {
    pub(crate) fn bind(path: PathBuf) -> io::Result<Endpoint> {
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        Ok(Endpoint { listener, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until QEMU connects; none when it has ended (`over`) or `until` is past.
    pub(crate) fn accept(self, over: &AtomicBool, until: Instant) -> Option<UnixStream> {
        loop {
            // Looked at first: who had connected before QEMU ended is still accepted.
            let last = over.load(Ordering::Acquire) || Instant::now() >= until;
            match self.listener.accept() {
                Ok((stream, _)) => return stream.set_nonblocking(false).ok().map(|()| stream),
                Err(_) if last => return None,
                Err(_) => thread::sleep(POLL),
            }
        }
    }
}

/// What a reader needs of the run.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) messages: Sender<Message>,
    pub(crate) killer: Killer,
}

impl Sink {
    /// Tells the run; false when nobody listens any more.
    fn send(&self, message: Message) -> bool {
        self.messages.send(message).is_ok()
    }
}

/// Reads the host's console into `host.log`.
pub(crate) fn read_host(stream: UnixStream, dir: &Path, sink: Sink) -> io::Result<()> {
    let mut file = File::create(dir.join("host.log"))?;
    spawn("host-console", move || {
        read(Channel::Host, stream, &sink, |bytes| {
            file.write_all(bytes)?;
            Ok(sink.send(Message::Host(Instant::now(), bytes.to_vec())))
        });
        sink.send(Message::Closed(Channel::Host));
    })
}

/// Reads EL2's log: into `el2.bin` as it comes, `el2.log` as text, and each guest's console into `vmN.log`.
pub(crate) fn read_el2(stream: UnixStream, dir: &Path, mut decoder: LogDecoder, sink: Sink) -> io::Result<()> {
    let mut files = El2Files::create(dir)?;
    spawn("el2-log", move || {
        read(Channel::El2, stream, &sink, |bytes| {
            files.raw.write_all(bytes)?;
            decoder.push(bytes);
            files.pass_on(&mut decoder, &sink)
        });
        decoder.end();
        if let Err(error) = files.pass_on(&mut decoder, &sink) {
            sink.send(Message::Broken(Channel::El2, error));
        }
        sink.send(Message::Closed(Channel::El2));
    })
}

/// Asks QEMU's monitor for every CPU's registers, and writes the answer to [`CPUS`]: for a run that hangs.
pub(crate) fn dump_cpus(mut monitor: UnixStream, dir: &Path) {
    let limit = Some(Duration::from_millis(500));
    let asked = monitor
        .set_read_timeout(limit)
        .and_then(|()| monitor.set_write_timeout(limit));
    if asked.and_then(|()| monitor.write_all(b"info registers -a\n")).is_err() {
        return;
    }
    let mut answer = Vec::new();
    // The answer has no end of its own: it is what comes until nothing more does.
    let _ = monitor.take(1 << 20).read_to_end(&mut answer);
    // Before it stand a greeting, and what was typed, once for each key.
    let start = answer.windows(4).position(|word| word == b"CPU#").unwrap_or(0);
    let _ = std::fs::write(dir.join(CPUS), &answer[start..]);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// Reads until the end, or until `take` says that nobody listens. Too much, or a file that breaks, ends the run.
fn read(channel: Channel, mut stream: UnixStream, sink: &Sink, mut take: impl FnMut(&[u8]) -> io::Result<bool>) {
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0_u64;
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        total += count as u64;
        if total > CHANNEL_LIMIT {
            sink.send(Message::Flooded(channel));
            return sink.killer.kill();
        }
        match take(&buffer[..count]) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                sink.send(Message::Broken(channel, error));
                return sink.killer.kill();
            }
        }
    }
}

/// How EL2's lines are written to files and reports: all of each, and plain.
pub(crate) fn formatter() -> Formatter {
    Formatter {
        locations: true,
        root: Some(workspace().to_owned()),
        ..Formatter::default()
    }
}

struct El2Files {
    dir: PathBuf,
    raw: File,
    text: File,
    guests: BTreeMap<u8, File>,
    formatter: Formatter,
}

impl El2Files {
    fn create(dir: &Path) -> io::Result<El2Files> {
        Ok(El2Files {
            dir: dir.to_owned(),
            raw: File::create(dir.join("el2.bin"))?,
            text: File::create(dir.join("el2.log"))?,
            guests: BTreeMap::new(),
            formatter: formatter(),
        })
    }

    /// Writes what the decoder has to its files, and tells the run.
    fn pass_on(&mut self, decoder: &mut LogDecoder, sink: &Sink) -> io::Result<bool> {
        for event in decoder.by_ref() {
            if let Event::Console { vm, bytes } = &event {
                self.guest(*vm)?.write_all(bytes)?;
            } else if let Some(text) = self.formatter.format(&event) {
                writeln!(self.text, "{text}")?;
            }
            if !sink.send(Message::El2(Instant::now(), event)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn guest(&mut self, vm: u8) -> io::Result<&mut File> {
        use std::collections::btree_map::Entry;
        Ok(match self.guests.entry(vm) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(slot) => slot.insert(File::create(self.dir.join(format!("vm{vm}.log")))?),
        })
    }
}
