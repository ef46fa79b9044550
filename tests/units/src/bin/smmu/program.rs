//! The unit, the device, and memory, for the suite.

use leasehold_drivers::mmio::{Io, Mmio};
use leasehold_drivers::smmu::suite::{BLOCKS, Bench, CASES, OWN, TABLE_PAGES};
use leasehold_drivers::smmu::v3::{Attached, Found, MEMORY_BYTES, ResetError};
use leasehold_guests::arch::cpu;
use leasehold_guests::edu::Edu;
use leasehold_guests::host::Host;
use leasehold_guests::pages::{Block, PAGE, Pages};
use leasehold_guests::{entry, stop};
use leasehold_hal::{Iommu, IommuError, Stage2Geometry, Vmid};
use leasehold_memory_map::{PhysAddr, PhysRange};

entry!(main);

/// The SMMUv3 of QEMU's virt machine (QEMU: hw/arm/virt.c, VIRT_SMMU): both of its pages of 64 KiB.
const REGISTERS: PhysRange = PhysRange::constant(PhysAddr::new(0x0905_0000), 0x2_0000);
/// SMMU_CR0 and its CMDQEN (Arm IHI 0070, 6.3).
const CR0: usize = 0x20;
const CMDQEN: u32 = 1 << 3;
/// The device at 00:01.0.
const STREAM: u32 = 8;

fn main(tree: u64) -> ! {
    let mut host = Host::begin(tree);
    host.translate();
    let Some(edu) = host.machine.ecam.and_then(Edu::find) else {
        stop(format_args!("there is no edu on the PCI bus"));
    };
    let Some(mut unit) = Unit::new(edu, &mut host.pages) else {
        stop(format_args!("no memory is left"));
    };
    for case in CASES {
        let done = case.run(&mut unit);
        host.report.step(case.name, done.is_ok(), format_args!("{done:x?}"));
    }
    host.end()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    stop(format_args!("{info}"))
}

struct Unit {
    edu: Edu,
    /// The unit's registers, behind the driver's back.
    registers: Mmio,
    /// What unit and driver share.
    shared: Block,
    tables: Block,
    memory: Block,
    /// The word that the device's buffer begins with, if that is known.
    holds: Option<u64>,
}

impl Unit {
    fn new(edu: Edu, pages: &mut Pages) -> Option<Unit> {
        Some(Unit {
            edu,
            // SAFETY: these are its registers, mapped where they are as device memory; a driver's access and one from here
            // never come together, as there is one CPU.
            registers: unsafe { Mmio::identity(REGISTERS) },
            shared: pages.take_aligned(MEMORY_BYTES as u64 / PAGE, MEMORY_BYTES as u64)?,
            tables: pages.take_aligned(TABLE_PAGES, 0x1_0000)?,
            memory: pages.take_blocks(BLOCKS),
            holds: None,
        })
    }

    /// The device's own page.
    fn own(&self) -> Block {
        self.memory.part(self.memory.pages() - 1, 1)
    }

    /// Where a physical address is.
    fn place(&self, address: u64) -> (Block, usize) {
        let block = if (self.tables.base()..self.tables.base() + self.tables.bytes()).contains(&address) {
            self.tables
        } else {
            self.memory
        };
        (block, (address - block.base()) as usize)
    }

    fn shared(&self) -> PhysRange {
        PhysRange::constant(PhysAddr::new(self.shared.base()), self.shared.bytes())
    }

    fn fill_buffer(&mut self, value: u64) {
        self.own().write(0, value);
        self.edu.load(OWN, 8);
        self.holds = Some(value);
    }
}

/// What a driver says that cannot even reset the unit.
fn failed(error: ResetError) -> IommuError {
    match error {
        ResetError::Iommu(error) => error,
        ResetError::Memory(bytes) => stop(format_args!("the unit needs {bytes} bytes")),
    }
}

impl Bench for Unit {
    type Unit = Attached;

    fn tables(&self) -> u64 {
        self.tables.base()
    }

    fn memory(&self) -> u64 {
        self.memory.base()
    }

    fn read(&self, address: u64) -> u64 {
        let (block, offset) = self.place(address);
        block.read(offset)
    }

    fn write(&self, address: u64, value: u64) {
        let (block, offset) = self.place(address);
        block.write(offset, value);
        cpu::dsb();
    }

    fn attach(&mut self, root: PhysAddr, geometry: &Stage2Geometry, vmid: Vmid) -> Result<Attached, IommuError> {
        // SAFETY: the registers are those of an SMMUv3, mapped where they are as device memory; a driver that had them
        // before is gone. The memory is from `Pages`, mapped where it is, and for units alone.
        let found = unsafe { Found::new(REGISTERS, self.shared()) }?;
        found.reset().map_err(failed)?.attach(root, geometry, vmid)
    }

    fn splits(&self) -> bool {
        true
    }

    fn stream(&self) -> u32 {
        STREAM
    }

    fn device_writes(&mut self, address: u64, value: u64) {
        if self.holds != Some(value) {
            self.fill_buffer(value);
        }
        self.edu.store(address, 8);
    }

    fn device_reads(&mut self, address: u64) -> u64 {
        self.fill_buffer(0);
        self.holds = None;
        self.edu.load(address, 8);
        self.edu.store(OWN, 8);
        self.own().read(0)
    }

    fn hang(&mut self, hang: bool) {
        let cr0: u32 = self.registers.load(CR0);
        let cr0 = if hang { cr0 & !CMDQEN } else { cr0 | CMDQEN };
        self.registers.store(CR0, cr0);
    }
}
