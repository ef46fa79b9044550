//! What Qualcomm's SoCs have in common, as functions that a description's constant calls.

use crate::description::{
    Block, CmdDb, Gic, Interrupt, Master, Pdc, QTimer, Rsc, Scm, Serial, SerialKind, SmmuUnit, SmmuUnitKind, Source,
    Timer, Trigger, Uart, UartKind, Watchdog, WatchdogHandover, Withheld, Wrapper, ppi, reg, spi,
};
use leasehold_drivers::rpmh;
use leasehold_drivers::serial::Clocking;
use leasehold_drivers::smmu::v2::{Access, Implementation, Instance, Prefetch, Streams, TbuRegisters, Walks};
use leasehold_drivers::watchdog::kpss::SLEEP_CLOCK_HZ;
use leasehold_hal::SmcPolicy;
use leasehold_memory_map::{Kept, PhysRange};

/// The distance of redistributors without and with the frames of GICv4 (Arm IHI 0069, 12.10).
pub const GICR_STRIDE: u64 = 0x2_0000;
/// The same with them.
pub const GICR_STRIDE_V4: u64 = 0x4_0000;

/// A level, high.
pub const HIGH: Trigger = Trigger::LevelHigh;
/// A level, low.
pub const LOW: Trigger = Trigger::LevelLow;
/// An edge.
pub const EDGE: Trigger = Trigger::EdgeRising;

/// The stream `id`.
#[must_use]
pub const fn stream(id: u16) -> Streams {
    Streams::new(id, 0)
}

/// The streams `id`, but for the bits of `mask`.
#[must_use]
pub const fn group(id: u16, mask: u16) -> Streams {
    Streams::new(id, mask)
}

/// A master whose node at `path` has these `streams` in its `iommus` or `iommu-map`.
#[must_use]
pub const fn master(name: &'static str, path: &'static str, streams: &'static [Streams]) -> Master {
    Master {
        name,
        source: Source::Tree(path),
        streams,
    }
}

/// A master whose `streams` no tree of Linux 6.12 has, since firmware has them where the vendor's hypervisor runs.
#[must_use]
pub const fn firmware_master(name: &'static str, document: &'static str, streams: &'static [Streams]) -> Master {
    Master {
        name,
        source: Source::Document(document),
        streams,
    }
}

/// A GICv3 or, by its stride, GICv4, with the maintenance interrupt PPI 9 (Arm BSA's, and all trees').
#[must_use]
pub const fn gicv3(
    path: &'static str,
    reg: &'static [PhysRange],
    stride: u64,
    its: &'static [Block],
    maintenance: &'static [Interrupt],
) -> Gic {
    Gic::V3 {
        block: Block::new(path, reg, maintenance),
        stride,
        its,
        maintenance: maintenance[0],
    }
}

/// The MMU-500 of the application subsystem, with no clock and no power domain of its own in any tree.
#[must_use]
pub const fn apps_smmu(
    path: &'static str,
    reg: &'static [PhysRange],
    walks: Walks,
    masters: &'static [Master],
    streams: &'static [Streams],
) -> SmmuUnit {
    SmmuUnit {
        name: "apps",
        block: Block::new(path, reg, &[]),
        kind: SmmuUnitKind::V2(Instance {
            registers: reg[0],
            access: Access::Full,
            implementation: Implementation::Mmu500(Prefetch::Off),
            walks,
            streams,
            tbus: Some(TbuRegisters::QUALCOMM),
        }),
        masters,
    }
}

/// The GPU's unit, which has power only while the GPU's driver wants it: left alone, and so is the GPU, which is
/// [`Withheld`].
#[must_use]
pub const fn gpu_smmu(
    path: &'static str,
    reg: &'static [PhysRange],
    walks: Walks,
    masters: &'static [Master],
) -> SmmuUnit {
    SmmuUnit {
        name: "gpu",
        block: Block::new(path, reg, &[]),
        kind: SmmuUnitKind::V2(Instance {
            registers: reg[0],
            access: Access::LeftAlone,
            // It is not touched, so it does not matter who made it.
            implementation: Implementation::Other,
            walks,
            streams: &[],
            tbus: None,
        }),
        masters,
    }
}

/// The debug port in the wrapper whose registers are at `wrapper`. Firmware has clocked it and set its speed (Qualcomm's
/// boot loaders print on it), and the host must leave that clock alone.
#[must_use]
pub const fn geni_uart(
    path: &'static str,
    reg: &'static [PhysRange],
    interrupts: &'static [Interrupt],
    wrapper: PhysRange,
) -> Uart {
    Uart {
        block: Block::new(path, reg, interrupts),
        kind: UartKind::Geni { wrapper },
        clocking: Clocking::Firmware,
    }
}

/// A UARTDM that firmware has clocked.
#[must_use]
pub const fn uartdm(path: &'static str, reg: &'static [PhysRange], interrupts: &'static [Interrupt]) -> Uart {
    Uart {
        block: Block::new(path, reg, interrupts),
        kind: UartKind::Uartdm,
        clocking: Clocking::Firmware,
    }
}

/// A wrapper of GENI engines.
#[must_use]
pub const fn wrapper(path: &'static str, reg: &'static [PhysRange]) -> Wrapper {
    Wrapper {
        block: Block::new(path, reg, &[]),
    }
}

/// A serial engine.
#[must_use]
pub const fn serial(
    kind: SerialKind,
    path: &'static str,
    reg: &'static [PhysRange],
    interrupts: &'static [Interrupt],
) -> Serial {
    Serial {
        block: Block::new(path, reg, interrupts),
        kind,
    }
}

/// A watchdog on the sleep clock.
#[must_use]
pub const fn watchdog(block: Block, handover: WatchdogHandover) -> Watchdog {
    Watchdog {
        block,
        clock_hz: SLEEP_CLOCK_HZ,
        handover,
    }
}

/// The timer in memory at `path`, whose frame 0 is `frame`.
#[must_use]
pub const fn qtimer(path: &'static str, reg: &'static [PhysRange], frame: Block) -> QTimer {
    QTimer {
        block: Block::new(path, reg, &[]),
        frame,
    }
}

/// The CPUs' timers, with the interrupts that all of these SoCs have from SM8250 and SC7280 on (Arm BSA's).
pub const TIMER: Timer = Timer {
    block: Block::new("/timer", &[], &[ppi(13, LOW), ppi(14, LOW), ppi(11, LOW), ppi(10, LOW)]),
};

/// What wakes the SoC: every one's is at the same address.
#[must_use]
pub const fn pdc(reg: &'static [PhysRange], ranges: &'static [(u32, u32, u32)]) -> Pdc {
    Pdc {
        block: Block::new("/soc@0/interrupt-controller@b220000", reg, &[]),
        ranges,
    }
}

const RSC_INTERRUPTS: &[Interrupt] = &[spi(3, HIGH), spi(4, HIGH), spi(5, HIGH)];

/// By which the application CPUs ask for power: DRV 2 of its `reg`, whose sets are where all trees have them
/// (`qcom,drv-id`, `qcom,tcs-offset`; Linux `rpmh-rsc.c`, RSC_DRV_TCS_OFFSET).
#[must_use]
pub const fn rsc(path: &'static str, reg: &'static [PhysRange]) -> Rsc {
    Rsc {
        block: Block::new(path, reg, RSC_INTERRUPTS),
        config: rpmh::rsc::Config {
            drv: 2,
            sets_at: 0xd00,
            set_stride: 672,
        },
    }
}

/// The command database in the reserved memory `path`.
#[must_use]
pub const fn cmd_db(path: &'static str, reg: &'static [PhysRange]) -> CmdDb {
    CmdDb {
        block: Block::new(path, reg, &[]),
    }
}

/// The firmware behind SMC, and what a host may call of it.
#[must_use]
pub const fn scm(compatible: &'static str, policy: SmcPolicy) -> Scm {
    Scm {
        block: Block::new("/firmware/scm", &[], &[]),
        compatible,
        policy,
    }
}

/// The GPU from SM8250 and SC7280 on, with its clock controller, which has its power switch, its management unit, and
/// their SMMU.
pub const GPU: Withheld = Withheld {
    name: "GPU",
    registers: &[reg(0x03d0_0000, 0x10_0000)],
    nodes: &[
        Kept::Path("/soc@0/gpu@3d00000"),
        Kept::Path("/soc@0/clock-controller@3d90000"),
        Kept::Path("/soc@0/iommu@3da0000"),
    ],
};

/// CoreSight, by the names in `compatible`: a trace router writes to memory, and the CPUs' debug registers stop a CPU in
/// EL2 and have it do what they say (Arm ARM, part H).
pub const DEBUG_NODES: &[Kept<'static>] = &[
    Kept::Compatible("arm,coresight-cpu-debug"),
    Kept::Compatible("arm,coresight-cti"),
    Kept::Compatible("arm,coresight-dynamic-funnel"),
    Kept::Compatible("arm,coresight-dynamic-replicator"),
    Kept::Compatible("arm,coresight-etm4x"),
    Kept::Compatible("arm,coresight-stm"),
    Kept::Compatible("arm,coresight-tmc"),
    Kept::Compatible("arm,coresight-tpiu"),
    Kept::Compatible("qcom,coresight-tpda"),
    Kept::Compatible("qcom,coresight-tpdm"),
    Kept::Compatible("qcom,sa8775p-ctcu"),
];

/// Trace and external debug of SDM845, SM8250 and SC7280: from the trace macrocell at 96 MiB to the CPUs' debug registers,
/// a MiB for each from 112 MiB on (device trees: `etm@7040000` and on; Arm's layout puts debug 192 KiB before). And the
/// ports by which software writes into the trace.
pub const DEBUG: Withheld = Withheld {
    name: "external debug and trace",
    registers: &[reg(0x0600_0000, 0x0200_0000), STIMULUS],
    nodes: DEBUG_NODES,
};

/// The same of SM8550, SM8650 and X1E80100 (trees of Linux 7.3: from `ctcu@10001000` to `funnel@13810000`). That the
/// CPUs' debug registers are in there too is unconfirmed.
pub const DEBUG_V9: Withheld = Withheld {
    name: "external debug and trace",
    registers: &[reg(0x1000_0000, 0x0400_0000), STIMULUS],
    nodes: DEBUG_NODES,
};

/// The ports of the system trace macrocell.
const STIMULUS: PhysRange = reg(0x1628_0000, 0x18_0000);

/// The translation buffer units of the application subsystem's MMU-500, behind whose registers theirs are: they can hold
/// up and redirect what passes (Linux `arm-smmu-qcom-debug.c`). The trees of SC7280 have them (`tbu@151dd000` and on); of
/// the SoCs whose trees have them not, that they are in the same MiB is unconfirmed.
pub const TBUS: Withheld = Withheld {
    name: "translation buffer units",
    registers: &[reg(0x1510_0000, 0x10_0000)],
    nodes: &[Kept::Compatible("qcom,sc7280-tbu")],
};
