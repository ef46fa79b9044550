//! APQ8016 (MSM8916 without the modem's radio): the DragonBoard 410c.
//!
//! Where a line says nothing else, it is from the device tree `apq8016-sbc` of Linux 6.12. Never run on silicon.

use crate::description::{
    Block, Cpus, Gic, Master, QTimer, Reserved, SerialKind, SmmuUnit, SmmuUnitKind, SocDescription, Timer, Tlmm,
    WatchdogHandover, Withheld, ppi, reg, reserved, spi,
};
use crate::family::{DEBUG_NODES, HIGH, LOW, master, qtimer, scm, serial, stream, uartdm, watchdog};
use crate::secure;
use leasehold_drivers::gpio::tlmm::{Config, Placement, Target};
use leasehold_drivers::smmu::v2::{Access, Implementation, Instance, Walks};
use leasehold_memory_map::PhysRange;

/// A unit whose global space is TrustZone's (`qcom,msm-iommu-v1`; Linux `qcom_iommu.c` touches context banks only): EL2
/// has no hand in it, and who is behind it is contained by nobody. With TF-A in TrustZone's place it would be EL2's, at
/// 0x01e0_0000 and 0x01f0_0000 (TF-A `plat/qti/msm8916/include/msm8916_mmap.h`).
const fn secure_unit(
    name: &'static str,
    block: Block,
    context_banks: PhysRange,
    masters: &'static [Master],
) -> SmmuUnit {
    SmmuUnit {
        name,
        block,
        kind: SmmuUnitKind::V2(Instance {
            registers: context_banks,
            access: Access::SecureGlobal,
            implementation: Implementation::Other,
            walks: Walks::Cleaned,
            streams: &[],
            tbus: None,
        }),
        masters,
    }
}

const SMMUS: &[SmmuUnit] = &[
    // The context banks are where `ranges` says.
    secure_unit(
        "apps",
        Block::new("/soc@0/iommu@1ef0000", &[reg(0x01ef_0000, 0x3000)], &[]),
        reg(0x01e2_0000, 0x2_0000),
        &[
            master("camera", "/soc@0/camss@1b0ac00", &[stream(3)]),
            master(
                "display",
                "/soc@0/display-subsystem@1a00000/display-controller@1a01000",
                &[stream(4)],
            ),
            master("Venus", "/soc@0/video-codec@1d00000", &[stream(5)]),
        ],
    ),
    secure_unit(
        "gpu",
        Block::new("/soc@0/iommu@1f08000", &[], &[]),
        reg(0x01f0_8000, 0x1_0000),
        &[master("GPU", "/soc@0/gpu@1c00000", &[stream(1), stream(2)])],
    ),
];

const UNCONTAINED: &[Master] = &[
    master("USB", "/soc@0/usb@78d9000", &[]),
    master("SDHC 1", "/soc@0/mmc@7824900", &[]),
    master("SDHC 2", "/soc@0/mmc@7864900", &[]),
    master("BLSP DMA", "/soc@0/dma-controller@7884000", &[]),
    master("Wi-Fi (WCNSS)", "/soc@0/remoteproc@a204000", &[]),
    master("audio (LPASS)", "/soc@0/audio-controller@7708000", &[]),
    master("audio BAM", "/soc@0/dma-controller@4044000", &[]),
    master("modem (Hexagon)", "/soc@0/remoteproc@4080000", &[]),
];

/// The SoC.
pub const APQ8016: SocDescription = SocDescription {
    name: "APQ8016",
    compatible: &["qcom,apq8016", "qcom,msm8916"],
    cpus: Cpus {
        cores: "4x Cortex-A53",
        affinities: &[0, 1, 2, 3],
        broken_cntvoff: false,
    },
    // RAM ends, as every device, within 4 GiB.
    ipa_bits: 32,
    ram: &[reg(0x8000_0000, 0x8000_0000)],
    gic: Gic::V2 {
        block: Block::new(
            "/soc@0/interrupt-controller@b000000",
            &[
                reg(0x0b00_0000, 0x1000),
                reg(0x0b00_2000, 0x2000),
                reg(0x0b00_1000, 0x1000),
                reg(0x0b00_4000, 0x2000),
            ],
            &[ppi(0, HIGH)],
        ),
        order: [0, 1, 2, 3],
        maintenance: ppi(0, HIGH),
    },
    timer: Timer {
        block: Block::new("/timer", &[], &[ppi(2, LOW), ppi(3, LOW), ppi(4, LOW), ppi(1, LOW)]),
    },
    qtimer: QTIMER,
    smmus: SMMUS,
    uarts: &[
        uartdm("/soc@0/serial@78b0000", &[reg(0x078b_0000, 0x200)], &[spi(108, HIGH)]),
        uartdm("/soc@0/serial@78af000", &[reg(0x078a_f000, 0x200)], &[spi(107, HIGH)]),
    ],
    wrappers: &[],
    serials: &[
        serial(
            SerialKind::QupI2c,
            "/soc@0/i2c@78b6000",
            &[reg(0x078b_6000, 0x500)],
            &[spi(96, HIGH)],
        ),
        serial(
            SerialKind::QupI2c,
            "/soc@0/i2c@78b8000",
            &[reg(0x078b_8000, 0x500)],
            &[spi(98, HIGH)],
        ),
        serial(
            SerialKind::QupI2c,
            "/soc@0/i2c@78ba000",
            &[reg(0x078b_a000, 0x500)],
            &[spi(100, HIGH)],
        ),
    ],
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@1000000",
            &[reg(0x0100_0000, 0x30_0000)],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 122,
            placement: Placement::Flat,
            // Linux `pinctrl-msm8916.c`: the KPSS is 4.
            target: Target { shift: 5, value: 4 },
            egpio: false,
            reserved: &[],
        },
        lines: 122,
    },
    watchdog: Some(watchdog(
        Block::documented("vendor trees of MSM8916 (unconfirmed)", &[reg(0x0b01_7000, 0x1000)]),
        WatchdogHandover::Untouched("the address is unconfirmed"),
    )),
    llcc: None,
    pdc: None,
    rsc: None,
    cmd_db: None,
    ps_hold: Some(Block::new("/soc@0/restart@4ab000", &[reg(0x004a_b000, 4)], &[])),
    scm: scm("qcom,scm-msm8916", secure::unknown::POLICY),
    // From RPM's messages to PRONTO's registers, and the APSS's.
    windows: &[reg(0x0002_0000, 0x0b1e_0000)],
    // Trace, which may write to memory, and the CPUs' debug registers.
    withheld: &[Withheld {
        name: "external debug and trace",
        registers: &[reg(0x0080_0000, 0x6_0000), reg(0x0928_0000, 0x18_0000)],
        nodes: DEBUG_NODES,
    }],
    uncontained: UNCONTAINED,
};

const QTIMER: QTimer = qtimer(
    "/soc@0/timer@b020000",
    &[reg(0x0b02_0000, 0x1000)],
    Block::new(
        "/soc@0/timer@b020000/frame@b021000",
        &[reg(0x0b02_1000, 0x1000), reg(0x0b02_2000, 0x1000)],
        &[spi(8, HIGH), spi(7, HIGH)],
    ),
);

/// What the tree reserves, at places of its own, for firmware and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("tz-apps@86000000", 0x8600_0000, 0x30_0000),
    reserved("smem@86300000", 0x8630_0000, 0x10_0000),
    reserved("hypervisor@86400000", 0x8640_0000, 0x10_0000),
    reserved("tz@86500000", 0x8650_0000, 0x18_0000),
    reserved("reserved@86680000", 0x8668_0000, 0x8_0000),
    reserved("rmtfs@86700000", 0x8670_0000, 0xe_0000),
    reserved("rfsa@867e0000", 0x867e_0000, 0x2_0000),
    reserved("mpss@86800000", 0x8680_0000, 0x2b0_0000),
    reserved("ramoops@bff00000", 0xbff0_0000, 0x10_0000),
];
