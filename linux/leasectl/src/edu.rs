//! QEMU's `edu` device: a PCI function that copies between memory and a buffer of its own, by DMA (QEMU,
//! docs/specs/edu.rst).

use anyhow::{Context, Result, bail};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::{self, File, OpenOptions};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

const VENDOR: &str = "0x1234";
const DEVICE: &str = "0x11e8";

/// BAR 0 is 1 MiB; the registers are in its first page.
const REGISTERS: usize = 4096;
const IDENTIFICATION: usize = 0x00;
const DMA_SOURCE: usize = 0x80;
const DMA_DESTINATION: usize = 0x88;
const DMA_COUNT: usize = 0x90;
const DMA_COMMAND: usize = 0x98;

/// The identification register: 0xRRrr00ed, with the revision above.
const IDENTITY: u32 = 0xed;
const IDENTITY_MASK: u32 = 0xffff;

const COMMAND_START: u64 = 1 << 0;
const COMMAND_TO_MEMORY: u64 = 1 << 1;

/// Where the device has its buffer, as its DMA engine sees it. It is 4 KiB long.
const BUFFER: u64 = 0x4_0000;

/// One DMA takes 100 ms of the machine's time; a busy build machine may stretch that.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// PCI configuration space: the command register, with memory space and bus master.
const PCI_COMMAND: u64 = 4;
const PCI_COMMAND_MEMORY_MASTER: u16 = 1 << 1 | 1 << 2;

/// An `edu` device that may read and write memory.
#[derive(Debug)]
pub struct Edu {
    registers: NonNull<u8>,
    /// Its address on the bus.
    pub name: String,
}

impl Edu {
    /// Finds the device, and switches it on.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub fn open() -> Result<Edu> {
        let folder = find()?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::write(folder.join("enable"), "1").with_context(|| format!("cannot enable {name}"))?;
        make_master(&folder.join("config")).with_context(|| format!("cannot make {name} a bus master"))?;
        let edu = Edu {
            registers: map(&folder.join("resource0"))?,
            name,
        };
        match edu.read32(IDENTIFICATION) {
            value if value & IDENTITY_MASK == IDENTITY => Ok(edu),
            value => bail!("{} identifies itself as {value:#x}", edu.name),
        }
    }

    /// Has the device read `length` bytes of memory into its buffer.
    ///
    /// # Errors
    /// When it does not say that it is done. It says nothing of whether the memory could be read.
    pub fn fetch(&self, physical: u64, length: usize) -> Result<()> {
        self.copy(physical, BUFFER, length, 0)
    }

    /// Has the device write `length` bytes of its buffer to memory.
    ///
    /// # Errors
    /// When it does not say that it is done. It says nothing of whether the memory could be written.
    pub fn store(&self, physical: u64, length: usize) -> Result<()> {
        self.copy(BUFFER, physical, length, COMMAND_TO_MEMORY)
    }

    fn copy(&self, source: u64, destination: u64, length: usize, direction: u64) -> Result<()> {
        self.write64(DMA_SOURCE, source);
        self.write64(DMA_DESTINATION, destination);
        self.write64(DMA_COUNT, length as u64);
        self.write64(DMA_COMMAND, direction | COMMAND_START);
        let start = Instant::now();
        while self.read64(DMA_COMMAND) & COMMAND_START != 0 {
            if start.elapsed() > PATIENCE {
                bail!("{} is not done with its DMA after {PATIENCE:?}", self.name);
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn read32(&self, register: usize) -> u32 {
        // SAFETY: every register lies in the page that `open` has mapped, and is aligned.
        unsafe { self.registers.add(register).cast::<u32>().read_volatile() }
    }

    fn read64(&self, register: usize) -> u64 {
        // SAFETY: as in `read32`; registers from 0x80 on take accesses of 8 bytes.
        unsafe { self.registers.add(register).cast::<u64>().read_volatile() }
    }

    fn write64(&self, register: usize, value: u64) {
        // SAFETY: as in `read64`. What the device then does to physical memory, the caller has asked for: its own
        // pages, or such that the machine has to protect.
        unsafe { self.registers.add(register).cast::<u64>().write_volatile(value) }
    }
}

impl Drop for Edu {
    fn drop(&mut self) {
        // SAFETY: this is what `map` has mapped; nothing refers to it any more.
        let result = unsafe { munmap(self.registers.cast(), REGISTERS) };
        debug_assert!(result.is_ok());
    }
}

fn find() -> Result<PathBuf> {
    let bus = Path::new("/sys/bus/pci/devices");
    let is =
        |folder: &Path, file: &str, id: &str| fs::read_to_string(folder.join(file)).is_ok_and(|text| text.trim() == id);
    fs::read_dir(bus)
        .with_context(|| format!("cannot read {}", bus.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|folder| is(folder, "vendor", VENDOR) && is(folder, "device", DEVICE))
        .context("the machine has no edu device (1234:11e8)")
}

fn make_master(config: &Path) -> Result<()> {
    let config = OpenOptions::new().read(true).write(true).open(config)?;
    let mut command = [0; 2];
    config.read_exact_at(&mut command, PCI_COMMAND)?;
    let command = u16::from_le_bytes(command) | PCI_COMMAND_MEMORY_MASTER;
    config.write_all_at(&command.to_le_bytes(), PCI_COMMAND)?;
    Ok(())
}

fn map(resource: &Path) -> Result<NonNull<u8>> {
    let open = || -> Result<File> { Ok(OpenOptions::new().read(true).write(true).open(resource)?) };
    let file = open().with_context(|| format!("cannot open {}", resource.display()))?;
    let length = NonZeroUsize::new(REGISTERS).context("no registers")?;
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let registers = unsafe {
        mmap(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
            file,
            0,
        )
    };
    Ok(registers
        .with_context(|| format!("cannot map {}", resource.display()))?
        .cast())
}
