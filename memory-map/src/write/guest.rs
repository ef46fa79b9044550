//! A guest's tree: a machine laid out as QEMU's `virt` (hw/arm/virt.c, `base_memmap`), as far as EL2 emulates one.

use super::WriteError;
use super::node::{Node, Prop, Value};
use super::writer::{Hex, Writer};
use crate::addr::Address;
use crate::range::IpaRange;
use heapless::Vec;

/// The guest's interrupt controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum GuestGic {
    /// GICv2: distributor at 0x0800_0000, CPU interface at 0x0801_0000, 64 KiB each.
    V2,
    /// GICv3: distributor at 0x0800_0000, 64 KiB; one redistributor at 0x080a_0000, 128 KiB.
    V3,
}

/// What a guest is told of itself.
#[derive(Clone, Copy, Debug)]
pub struct GuestConfig<'c> {
    /// Its memory.
    pub memory: &'c [IpaRange],
    /// Its command line. Where it is empty, `/chosen` has none.
    pub bootargs: &'c str,
    /// The handles of the leases that it may retrieve, besides the one that it boots from.
    pub leases: &'c [u64],
    /// Its interrupt controller. Without one, no node has interrupts: the console is polled, the timer's counter read.
    pub gic: Option<GuestGic>,
}

/// Writes guests' trees.
#[derive(Clone, Copy, Debug)]
pub struct GuestTree;

const PHANDLE_CLOCK: u32 = 1;
const PHANDLE_GIC: u32 = 2;

const fn text<'e>(name: &'e str, value: &'e str) -> Prop<'e> {
    Prop::new(name, Value::Text(value))
}

const fn cell(name: &str, value: u32) -> Prop<'_> {
    Prop::new(name, Value::Cell(value))
}

const fn cells<'e>(name: &'e str, value: &'e [u32]) -> Prop<'e> {
    Prop::new(name, Value::Cells(value))
}

const fn leaf<'e>(name: &'e str, props: &'e [Prop<'e>]) -> Node<'e> {
    Node {
        name,
        props,
        children: &[],
    }
}

const ROOT: [Prop<'_>; 4] = [
    Prop::new("compatible", Value::Texts(&["leasehold,guest", "linux,dummy-virt"])),
    text("model", "leasehold,guest"),
    cell("#address-cells", 2),
    cell("#size-cells", 2),
];

const PSCI: Node<'_> = leaf(
    "psci",
    &[
        Prop::new("compatible", Value::Texts(&["arm,psci-1.0", "arm,psci-0.2"])),
        text("method", "hvc"),
    ],
);

const CPUS: Node<'_> = Node {
    name: "cpus",
    props: &[cell("#address-cells", 1), cell("#size-cells", 0)],
    children: &[leaf(
        "cpu@0",
        &[
            text("device_type", "cpu"),
            text("compatible", "arm,armv8"),
            cell("reg", 0),
            text("enable-method", "psci"),
        ],
    )],
};

const CLOCK: Node<'_> = leaf(
    "apb-pclk",
    &[
        text("compatible", "fixed-clock"),
        cell("#clock-cells", 0),
        cell("clock-frequency", 24_000_000),
        text("clock-output-names", "clk24mhz"),
        cell("phandle", PHANDLE_CLOCK),
    ],
);

const UART_PATH: &str = "/pl011@9000000";
const UART_NAME: &str = "pl011@9000000";
const UART: [Prop<'_>; 4] = [
    Prop::new("compatible", Value::Texts(&["arm,pl011", "arm,primecell"])),
    cells("reg", &[0, 0x0900_0000, 0, 0x1000]),
    cells("clocks", &[PHANDLE_CLOCK, PHANDLE_CLOCK]),
    Prop::new("clock-names", Value::Texts(&["uartclk", "apb_pclk"])),
];
/// SPI 1, level-high (Documentation/devicetree/bindings/interrupt-controller/arm,gic-v3.yaml).
const UART_INTERRUPT: Prop<'_> = cells("interrupts", &[0, 1, 4]);

const TIMER: [Prop<'_>; 2] = [
    Prop::new("compatible", Value::Texts(&["arm,armv8-timer", "arm,armv7-timer"])),
    Prop::new("always-on", Value::Empty),
];
/// PPIs 13, 14, 11 and 10, level-high: secure, physical, virtual, hypervisor.
const TIMER_INTERRUPTS_V3: Prop<'_> = cells("interrupts", &[1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4]);
/// The same with the CPU mask that GICv2's binding has in bits 15:8.
const TIMER_INTERRUPTS_V2: Prop<'_> = cells("interrupts", &[1, 13, 0x104, 1, 14, 0x104, 1, 11, 0x104, 1, 10, 0x104]);

const GIC_V2: Node<'_> = leaf(
    "intc@8000000",
    &[
        text("compatible", "arm,cortex-a15-gic"),
        Prop::new("interrupt-controller", Value::Empty),
        cell("#interrupt-cells", 3),
        cell("#address-cells", 0),
        cells("reg", &[0, 0x0800_0000, 0, 0x1_0000, 0, 0x0801_0000, 0, 0x1_0000]),
        cell("phandle", PHANDLE_GIC),
    ],
);

const GIC_V3: Node<'_> = leaf(
    "intc@8000000",
    &[
        text("compatible", "arm,gic-v3"),
        Prop::new("interrupt-controller", Value::Empty),
        cell("#interrupt-cells", 3),
        cell("#address-cells", 0),
        cells("reg", &[0, 0x0800_0000, 0, 0x1_0000, 0, 0x080a_0000, 0, 0x2_0000]),
        cell("phandle", PHANDLE_GIC),
    ],
);

impl GuestTree {
    /// Writes the tree of a guest with one CPU into `out` and gives its size in bytes: less than 2 KiB, 80 bytes a
    /// range of memory, 64 bytes a lease, and the command line.
    ///
    /// # Errors
    /// [`WriteError::Space`] when `out` is too small.
    pub fn write(config: &GuestConfig<'_>, out: &mut [u8]) -> Result<usize, WriteError> {
        let mut writer = Writer::new(out, core::iter::empty(), &[])?;
        writer.begin("")?;
        props(&mut writer, &ROOT)?;
        if config.gic.is_some() {
            writer.prop(&cell("interrupt-parent", PHANDLE_GIC))?;
        }
        chosen(&mut writer, config.bootargs)?;
        memory(&mut writer, config.memory)?;
        writer.node(&CPUS)?;
        writer.node(&PSCI)?;
        writer.node(&CLOCK)?;
        devices(&mut writer, config.gic)?;
        leases(&mut writer, config.leases)?;
        writer.end()?;
        writer.finish(0)
    }
}

fn props<'n>(writer: &mut Writer<'_, 'n>, props: &[Prop<'n>]) -> Result<(), WriteError> {
    props.iter().try_for_each(|prop| writer.prop(prop))
}

fn chosen<'n>(writer: &mut Writer<'_, 'n>, bootargs: &'n str) -> Result<(), WriteError> {
    writer.begin("chosen")?;
    writer.prop(&text("stdout-path", UART_PATH))?;
    if !bootargs.is_empty() {
        writer.prop(&text("bootargs", bootargs))?;
    }
    writer.end()
}

fn memory(writer: &mut Writer<'_, '_>, ranges: &[IpaRange]) -> Result<(), WriteError> {
    for range in ranges {
        begin_at(writer, "memory@", range.start().get())?;
        writer.prop(&text("device_type", "memory"))?;
        let reg = writer.intern("reg")?;
        writer.property(reg, 16)?;
        writer.cells(range.start().get(), 2)?;
        writer.cells(range.len(), 2)?;
        writer.end()?;
    }
    Ok(())
}

fn devices(writer: &mut Writer<'_, '_>, gic: Option<GuestGic>) -> Result<(), WriteError> {
    writer.begin(UART_NAME)?;
    props(writer, &UART)?;
    if gic.is_some() {
        writer.prop(&UART_INTERRUPT)?;
    }
    writer.end()?;
    writer.begin("timer")?;
    props(writer, &TIMER)?;
    match gic {
        Some(GuestGic::V2) => writer.prop(&TIMER_INTERRUPTS_V2)?,
        Some(GuestGic::V3) => writer.prop(&TIMER_INTERRUPTS_V3)?,
        None => {}
    }
    writer.end()?;
    match gic {
        Some(GuestGic::V2) => writer.node(&GIC_V2),
        Some(GuestGic::V3) => writer.node(&GIC_V3),
        None => Ok(()),
    }
}

/// `/leasehold`: a node for each lease, with its handle as FF-A has it.
fn leases(writer: &mut Writer<'_, '_>, handles: &[u64]) -> Result<(), WriteError> {
    writer.begin("leasehold")?;
    props(
        writer,
        &[
            text("compatible", "leasehold,leases"),
            cell("#address-cells", 1),
            cell("#size-cells", 0),
        ],
    )?;
    for (number, handle) in (0_u32..).zip(handles) {
        begin_at(writer, "lease@", number.into())?;
        writer.prop(&cell("reg", number))?;
        writer.prop(&Prop::new("handle", Value::Number(*handle)))?;
        writer.end()?;
    }
    writer.end()
}

/// Begins a node called by a stem that ends in `@`, and a unit address.
fn begin_at(writer: &mut Writer<'_, '_>, stem: &str, address: u64) -> Result<(), WriteError> {
    let mut name = Vec::<u8, 32>::new();
    // There is room: the stems here, and sixteen digits.
    let _ = name.extend_from_slice(stem.as_bytes());
    let _ = name.extend_from_slice(Hex::new(address).digits());
    writer.begin_raw(&name)
}
