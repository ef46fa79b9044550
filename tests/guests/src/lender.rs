//! A VM as its host sees it: made, lent to, loaded, run, ended.

use crate::arch::cpu;
use crate::arch::entry::{ARGS_BYTES, ARGS_OFFSET};
use crate::ffa::{self, Mailbox};
use crate::line;
use crate::pages::{Block, PAGE, Pages};
use crate::range::Range;
use crate::tree::RAM_BASE;
use crate::vm::{self, Exit};
use core::fmt;
use heapless::Vec;
use leasehold_abi::vendor;

/// Which step went wrong, and the status.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Failed(pub &'static str, pub i32);

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

/// Names the step of a status.
pub fn named<T>(step: &'static str, result: Result<T, i32>) -> Result<T, Failed> {
    result.map_err(|status| Failed(step, status))
}

/// Address and pages of each block, as a lend takes them.
pub fn ranges<const N: usize>(blocks: &[Block]) -> Vec<(u64, u32), N> {
    blocks.iter().map(|b| (b.base(), b.pages() as u32)).collect()
}

/// The most that is kept of what a guest says.
const TRANSCRIPT: usize = 8192;

/// What a guest has said.
#[derive(Clone, Debug, Default)]
pub struct Transcript {
    text: Vec<u8, TRANSCRIPT>,
    shown: usize,
    /// Nothing is printed, as when several CPUs are at work.
    pub quiet: bool,
}

impl Transcript {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let _ = self.text.push(*byte);
        }
        if self.quiet {
            return;
        }
        while let Some(end) = self.text[self.shown..].iter().position(|b| *b == b'\n') {
            line!(
                "guest| {}",
                core::str::from_utf8(&self.text[self.shown..self.shown + end]).unwrap_or("?")
            );
            self.shown += end + 1;
        }
    }

    /// Has it said that?
    pub fn has(&self, what: &str) -> bool {
        self.text.windows(what.len()).any(|w| w == what.as_bytes())
    }

    /// The rest of the first line that begins with `start`, as a number.
    pub fn number_after(&self, start: &str) -> Option<u64> {
        let text = core::str::from_utf8(&self.text).ok()?;
        let line = text.lines().find_map(|l| l.strip_prefix(start))?;
        crate::args::number(line.split_ascii_whitespace().next()?)
    }
}

/// A program for a guest, as it lies in the host's memory.
#[derive(Clone, Copy, Debug)]
pub struct Image {
    file: Range,
    /// A page of the host's for the first page with its arguments.
    first: Block,
}

/// Where `image_size` stands in an arm64 Image.
const IMAGE_SIZE_OFFSET: u64 = 16;
/// What the hypervisor may write for a tree.
const TREE_BYTES: u64 = 8192;

impl Image {
    /// The image in the ramdisk, if there is a ramdisk.
    pub fn new(ramdisk: Range, pages: &mut Pages) -> Option<Image> {
        (!ramdisk.is_empty() && ramdisk.start.is_multiple_of(PAGE)).then(|| Image {
            file: ramdisk,
            first: pages.take(1),
        })
    }

    /// How much memory it wants: its file, what is zero behind it, and its stack.
    pub fn memory_bytes(&self) -> u64 {
        // SAFETY: within the ramdisk, 8-byte aligned.
        unsafe { ((self.file.start + IMAGE_SIZE_OFFSET) as *const u64).read_volatile() }
    }

    /// How much memory it wants at least, its tree included, in pages.
    pub fn pages(&self) -> u64 {
        (self.memory_bytes() + TREE_BYTES).div_ceil(PAGE) + 1
    }

    fn load(&self, id: u64, arguments: &str) -> Result<(), Failed> {
        self.first.fill(|at| {
            let from = self.file.start + (at - self.first.base());
            if from >= self.file.end {
                return 0;
            }
            // SAFETY: within the ramdisk's pages, 8-byte aligned.
            unsafe { (from as *const u64).read_volatile() }
        });
        self.first.put(ARGS_OFFSET, &[0; ARGS_BYTES]);
        self.first.put(
            ARGS_OFFSET,
            &arguments.as_bytes()[..arguments.len().min(ARGS_BYTES - 1)],
        );
        for offset in (0..self.file.bytes()).step_by(PAGE as usize) {
            let from = if offset == 0 {
                self.first.base()
            } else {
                self.file.start + offset
            };
            let bytes = (self.file.bytes() - offset).min(PAGE);
            named("load", vm::load(id, RAM_BASE + offset, from, bytes))?;
        }
        Ok(())
    }

    /// Where its tree goes.
    fn tree(&self) -> u64 {
        RAM_BASE + self.memory_bytes().next_multiple_of(PAGE)
    }
}

/// A guest, and what is lent to it.
#[derive(Debug)]
pub struct Guest {
    /// Its id.
    pub id: u64,
    /// The lease that its memory is.
    pub memory: u64,
    /// Further leases.
    pub further: Vec<u64, 8>,
    /// What it has said.
    pub said: Transcript,
}

/// No guest of these tests exits as often.
const MOST_RUNS: u32 = 200_000;
/// A guest is given up after that time.
const PATIENCE_MS: u64 = 30_000;

impl Guest {
    /// A VM with `blocks` as its memory, from the start of its RAM on, and `image` in it, not yet started.
    ///
    /// # Errors
    /// The step that failed. What was made until then is taken back.
    pub fn new(mail: &Mailbox, image: &Image, arguments: &str, blocks: &[Block]) -> Result<Guest, Failed> {
        let id = named("create", vm::create())?;
        let lent = named("lend", mail.lend(id, &ranges::<256>(blocks)));
        let memory = match lent {
            Ok(memory) => memory,
            Err(failed) => {
                let _ = vm::destroy(id);
                return Err(failed);
            }
        };
        let guest = Guest {
            id,
            memory,
            further: Vec::new(),
            said: Transcript::default(),
        };
        let filled = named("map", vm::map(id, memory, RAM_BASE)).and_then(|()| image.load(id, arguments));
        match filled {
            Ok(()) => Ok(guest),
            Err(failed) => {
                let _ = guest.end();
                Err(failed)
            }
        }
    }

    /// The same, ready to run.
    ///
    /// # Errors
    /// The step that failed.
    pub fn started(mail: &Mailbox, image: &Image, arguments: &str, blocks: &[Block]) -> Result<Guest, Failed> {
        let guest = Guest::new(mail, image, arguments, blocks)?;
        match guest.start(image) {
            Ok(()) => Ok(guest),
            Err(failed) => {
                let _ = guest.end();
                Err(failed)
            }
        }
    }

    /// Lends it something more, which it must retrieve.
    ///
    /// # Errors
    /// The step that failed.
    pub fn lend(&mut self, mail: &Mailbox, blocks: &[Block]) -> Result<u64, Failed> {
        let handle = named("lend", mail.lend(self.id, &ranges::<256>(blocks)))?;
        let _ = self.further.push(handle);
        Ok(handle)
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// The step that failed.
    pub fn start(&self, image: &Image) -> Result<(), Failed> {
        named("start", vm::start(self.id, RAM_BASE, image.tree()))
    }

    /// Runs it until it waits or ends, printing what it says.
    ///
    /// # Errors
    /// The step that failed.
    pub fn run(&mut self) -> Result<Exit, Failed> {
        let end = cpu::ticks() + cpu::milliseconds(PATIENCE_MS);
        for _ in 0..MOST_RUNS {
            let exit = named("run", vm::run(self.id, 0))?;
            self.listen();
            match exit.reason {
                vendor::EXIT_CONSOLE => {}
                vendor::EXIT_INTERRUPT if cpu::ticks() < end => {}
                _ => return Ok(exit),
            }
        }
        Err(Failed("run, again and again", 0))
    }

    /// Runs it until it switches itself off or crashes, and gives the exit and how often it has waited.
    ///
    /// # Errors
    /// The step that failed.
    pub fn run_to_end(&mut self) -> Result<(Exit, u32), Failed> {
        for waits in 0..100 {
            let exit = self.run()?;
            if exit.reason != vendor::EXIT_WAIT {
                return Ok((exit, waits));
            }
        }
        Err(Failed("waits for ever", 0))
    }

    /// Takes what it has said.
    pub fn listen(&mut self) {
        while let Ok((bytes, text)) = vm::console(self.id) {
            if bytes == 0 {
                break;
            }
            self.said.add(&text[..bytes]);
        }
    }

    /// Ends it and takes everything back.
    ///
    /// # Errors
    /// The step that failed.
    pub fn end(mut self) -> Result<(), Failed> {
        named("destroy", vm::destroy(self.id))?;
        for handle in self.further.iter().chain([&self.memory]) {
            named("reclaim", ffa::reclaim(*handle))?;
        }
        self.further.clear();
        Ok(())
    }
}
