//! Steps of a lease's way: create, lend, load, start, run, take back.

use super::Demo;
use crate::device::Exit;
use crate::guest;
use crate::memory::{BLOCK, Memory, PAGE, find_block, runs};
use anyhow::{Context, Result, bail};
use nix::sys::mman::MmapAdvise;
use std::time::Duration;

/// How far the memory starts behind a multiple of 2 MiB.
const OFFSET: usize = 5 * PAGE;
/// How much of it is handed out page by page, with other pages in between, so that it is scattered.
const SCATTERED: usize = 2 << 20;
/// How long the guest may take for each of its two parts, on a busy build machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the guest says when it has done its first part.
const GUEST_LINES: [&str; 3] = ["LH-GUEST tree ok", "LH-GUEST zero ok", "LH-GUEST pattern ok"];
const GUEST_READY: &str = "LH-GUEST ready";
const GUEST_INTACT: &str = "LH-GUEST intact";

/// What the memory holds before it is lent: nothing that a scrubbed page could hold.
fn before(offset: usize) -> u64 {
    0x1ea5_e000_0000_0000 | offset as u64
}

/// What is written to it when it is back.
fn after(offset: usize) -> u64 {
    !before(offset)
}

/// Maps memory to lend: a part scattered over pages, and a part in the huge pages that the kernel may have.
pub fn memory(length: usize) -> Result<Memory> {
    let memory = Memory::new(length, OFFSET)?;
    let scattered = SCATTERED.min(length / 2);
    memory.advise(0, scattered, MmapAdvise::MADV_NOHUGEPAGE)?;
    memory.advise(scattered, length - scattered, MmapAdvise::MADV_HUGEPAGE)?;
    let between = Memory::new(scattered, 0)?;
    between.advise(0, scattered, MmapAdvise::MADV_NOHUGEPAGE)?;
    for page in (0..scattered).step_by(PAGE) {
        memory.write(page, 0);
        between.write(page, 0);
    }
    for word in (0..length).step_by(8) {
        memory.write(word, before(word));
    }
    Ok(memory)
}

impl Demo {
    pub(super) fn create(&mut self) -> Result<String> {
        self.vm = self.device.create().context("cannot create a VM")?;
        Ok(format!("VM {}", self.vm))
    }

    pub(super) fn lend(&mut self) -> Result<String> {
        self.physical = self.memory.physical_pages()?;
        let (address, length) = (self.memory.address(), self.memory.length());
        let lent = self
            .device
            .lend(address, length, self.args.layout.ipa)
            .context("refused")?;
        let largest = runs(&self.physical).iter().map(|run| run.pages).max().unwrap_or(0);
        let block = if find_block(&self.physical).is_some() {
            "an aligned 2 MiB among them"
        } else {
            "no aligned 2 MiB"
        };
        Ok(format!(
            "{} KiB at {address:#x}, {:#x} behind 2 MiB, in {} ranges, the largest of {} KiB, {block}, {} leases",
            length >> 10,
            address % BLOCK,
            lent.ranges,
            (largest * PAGE) >> 10,
            lent.leases,
        ))
    }

    pub(super) fn load(&mut self) -> Result<String> {
        let image = self.image()?;
        let entry = self.args.layout.entry(&image)?;
        self.device.load(&image, entry).context("refused")?;
        Ok(format!("{} bytes at {entry:#x}", image.len()))
    }

    pub(super) fn start(&mut self) -> Result<String> {
        let entry = self.args.layout.entry(&self.image()?)?;
        let tree = self.args.layout.device_tree();
        self.device.start(entry, tree).context("refused")?;
        Ok(format!("entry {entry:#x}, device tree {tree:#x}"))
    }

    fn image(&self) -> Result<Vec<u8>> {
        let path = &self.args.image;
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn run(&mut self, done: impl Fn(Exit, &guest::Console) -> bool) -> Result<Exit> {
        let mut show = |line: &str| println!("guest: {line}");
        guest::run_until(&self.device, &mut self.console, PATIENCE, &mut show, done)
    }

    /// The guest does its first part, and waits.
    pub(super) fn guest(&mut self) -> Result<String> {
        let ready = |exit, console: &guest::Console| exit == Exit::Wait && console.has(GUEST_READY);
        let seen = self.run(ready);
        let missing: Vec<&str> = GUEST_LINES.into_iter().filter(|line| !self.console.has(line)).collect();
        if let Err(error) = seen {
            return Err(error.context(format!("lines not seen: {missing:?}")));
        }
        if !missing.is_empty() {
            bail!("the guest is ready, but did not say {missing:?}");
        }
        Ok("tree ok, zero ok, pattern ok, waits".into())
    }

    /// The guest finds its pattern as it was, and switches itself off.
    pub(super) fn guest_end(&mut self) -> Result<String> {
        self.run(|exit, _| exit == Exit::Off)?;
        if !self.console.has(GUEST_INTACT) {
            bail!("the guest is off, but did not say `{GUEST_INTACT}`");
        }
        Ok("pattern intact, off".into())
    }

    pub(super) fn reclaim(&mut self) -> Result<String> {
        let destroyed = self.device.destroy().context("refused")?;
        let pages = self.physical.len() as u64;
        if destroyed.pages_lost != 0 || destroyed.pages_back != pages {
            bail!(
                "of {pages} pages {} are back and {} lost",
                destroyed.pages_back,
                destroyed.pages_lost
            );
        }
        self.vm = 0;
        Ok(format!("{pages} pages of {} leases are back", destroyed.leases))
    }

    /// All of the memory reads as zeroes, through the mapping that was there all the time, and can be written.
    pub(super) fn zero(&mut self) -> Result<String> {
        self.is_back()?;
        if self.memory.physical_pages()? != self.physical {
            bail!("the pages are not those that were lent");
        }
        if let Some((offset, value)) = self.memory.find_other(|_| 0) {
            bail!("{value:#018x} at offset {offset:#x}");
        }
        for word in (0..self.memory.length()).step_by(8) {
            self.memory.write(word, after(word));
        }
        if let Some((offset, value)) = self.memory.find_other(after) {
            bail!("{value:#018x} at offset {offset:#x}, where something else was written");
        }
        Ok(format!("{} KiB of zeroes, writable", self.memory.length() >> 10))
    }

    /// The same memory can be lent to another VM, and comes back whole.
    pub(super) fn again(&mut self) -> Result<String> {
        self.is_back()?;
        self.create()?;
        let lent = self
            .device
            .lend(self.memory.address(), self.memory.length(), self.args.layout.ipa)
            .context("refused to lend it again")?;
        let vm = self.vm;
        self.reclaim()?;
        if let Some((offset, value)) = self.memory.find_other(|_| 0) {
            bail!("{value:#018x} at offset {offset:#x}");
        }
        self.no_trouble()?;
        Ok(format!(
            "VM {vm}, {} ranges, {} leases, back and zero",
            lent.ranges, lent.leases
        ))
    }

    /// Touching memory that is still lent would end this process.
    fn is_back(&self) -> Result<()> {
        if self.vm != 0 {
            bail!("the memory is not back");
        }
        Ok(())
    }
}
