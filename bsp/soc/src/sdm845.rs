//! SDM845: the DragonBoard 845c (RB3).
//!
//! Where a line says nothing else, it is from the device tree `sdm845-db845c` of Linux 6.12. Never run on silicon.

use crate::description::{
    Block, Cpus, Llcc, Master, Reserved, Serial, SerialKind, SmmuUnit, SmmuUnitKind, SocDescription, Timer, Tlmm,
    WatchdogHandover, Withheld, count_streams, ppi, reg, reserved, spi, streams,
};
use crate::family::{
    DEBUG, EDGE, GICR_STRIDE, HIGH, LOW, apps_smmu, cmd_db, firmware_master, geni_uart, gicv3, group, master, pdc,
    qtimer, rsc, scm, serial, stream, watchdog, wrapper,
};
use crate::secure;
use leasehold_drivers::gpio::tlmm::{Config, Placement, Target};
use leasehold_drivers::llcc;
use leasehold_drivers::smmu::v2::{Access, Implementation, Instance, Streams, Walks};
use leasehold_memory_map::Kept;

/// A tree for EL2, of a prototype with this SoC.
const EL2_TREE: &str = "torvalds/linux arch/arm64/boot/dts/qcom/sdm845-cheza.dtsi";

const BAM: &[Streams] = &[group(0x704, 1), group(0x706, 1), group(0x714, 1), group(0x716, 1)];

/// Who is behind the application subsystem's SMMU, in use on a board or not.
const MASTERS: &[Master] = &[
    master(
        "ADSP audio",
        "/remoteproc-adsp/glink-edge/apr/service@7/dais",
        &[stream(0x1821)],
    ),
    master(
        "ADSP compute",
        "/remoteproc-adsp/glink-edge/fastrpc",
        &[stream(0x1823), stream(0x1824)],
    ),
    master(
        "CDSP compute",
        "/remoteproc-cdsp/glink-edge/fastrpc",
        &[
            group(0x1401, 0x30),
            group(0x1402, 0x30),
            group(0x1403, 0x30),
            group(0x1404, 0x30),
            group(0x1405, 0x30),
            group(0x1406, 0x30),
            group(0x1407, 0x30),
            group(0x1408, 0x30),
        ],
    ),
    master("GPI DMA 0", "/soc@0/dma-controller@800000", &[stream(0x16)]),
    master("QUP 0", "/soc@0/geniqup@8c0000", &[stream(0x3)]),
    master("GPI DMA 1", "/soc@0/dma-controller@a00000", &[stream(0x6d6)]),
    master("QUP 1", "/soc@0/geniqup@ac0000", &[stream(0x6c3)]),
    master("UFS", "/soc@0/ufshc@1d84000", &[group(0x100, 0xf)]),
    master("crypto BAM", "/soc@0/dma-controller@1dc4000", BAM),
    master("crypto", "/soc@0/crypto@1dfa000", BAM),
    master("IPA", "/soc@0/ipa@1e40000", &[stream(0x720), stream(0x722)]),
    master("SDHC 2", "/soc@0/mmc@8804000", &[group(0xa0, 0xf)]),
    master("QSPI", "/soc@0/spi@88df000", &[stream(0x160)]),
    master("SLIMbus", "/soc@0/slim-ngd@171c0000", &[stream(0x1806)]),
    master("SLIMbus BAM", "/soc@0/dma-controller@17184000", &[stream(0x1806)]),
    master("USB 1", "/soc@0/usb@a6f8800/usb@a600000", &[stream(0x740)]),
    master("USB 2", "/soc@0/usb@a8f8800/usb@a800000", &[stream(0x760)]),
    master(
        "Venus",
        "/soc@0/video-codec@aa00000",
        &[group(0x10a0, 8), stream(0x10b0)],
    ),
    firmware_master("Venus firmware", EL2_TREE, &[stream(0x10b2)]),
    master(
        "camera",
        "/soc@0/camss@acb3000",
        &[stream(0x808), group(0x810, 8), stream(0xc08), group(0xc10, 8)],
    ),
    master(
        "display",
        "/soc@0/display-subsystem@ae00000",
        &[group(0x880, 8), group(0xc80, 8)],
    ),
    master("Wi-Fi", "/soc@0/wifi@18800000", &[group(0x40, 1)]),
    master("PCIe 0", "/soc@0/pcie@1c00000", &[group(0x1c10, 0xf)]),
    master("PCIe 1", "/soc@0/pcie@1c08000", &[group(0x1c00, 0xf)]),
];

const STREAMS: [Streams; count_streams(MASTERS)] = streams(MASTERS);

const SMMUS: &[SmmuUnit] = &[
    apps_smmu(
        "/soc@0/iommu@15000000",
        &[reg(0x1500_0000, 0x8_0000)],
        Walks::Cleaned,
        MASTERS,
        &STREAMS,
    ),
    // `qcom,smmu-v2`: no MMU-500.
    SmmuUnit {
        name: "gpu",
        block: Block::new("/soc@0/iommu@5040000", &[reg(0x0504_0000, 0x1_0000)], &[]),
        kind: SmmuUnitKind::V2(Instance {
            registers: reg(0x0504_0000, 0x1_0000),
            access: Access::LeftAlone,
            implementation: Implementation::Other,
            walks: Walks::Cleaned,
            streams: &[],
            tbus: None,
        }),
        masters: &[
            master("GPU", "/soc@0/gpu@5000000", &[stream(0)]),
            master("GMU", "/soc@0/gmu@506a000", &[stream(5)]),
        ],
    },
];

const WITHHELD: &[Withheld] = &[
    // With its SMMU, its management unit, and its clock controller, which has its power switch.
    Withheld {
        name: "GPU",
        registers: &[reg(0x0500_0000, 0xa_0000)],
        nodes: &[
            Kept::Path("/soc@0/gpu@5000000"),
            Kept::Path("/soc@0/clock-controller@5090000"),
        ],
    },
    Withheld {
        name: "GMU",
        registers: &[reg(0x0b28_0000, 0x1_0000), reg(0x0b48_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/gmu@506a000")],
    },
    // Copies what it is told to, without a stream (Linux `drivers/misc/qcom-dcc`; unconfirmed that it has none).
    Withheld {
        name: "DCC",
        registers: &[reg(0x010a_2000, 0x1000), reg(0x010a_e000, 0x2000)],
        nodes: &[Kept::Compatible("qcom,dcc")],
    },
    // Its memory is behind the vendor's protection units and not behind the SMMU.
    Withheld {
        name: "modem",
        registers: &[reg(0x0408_0000, 0x1000), reg(0x0418_0000, 0x1000)],
        nodes: &[Kept::Path("/soc@0/remoteproc@4080000")],
    },
    // No stream of its own is known.
    Withheld {
        name: "SLPI",
        registers: &[reg(0x05c0_0000, 0x4000)],
        nodes: &[Kept::Path("/soc@0/remoteproc@5c00000")],
    },
    // No streams of their firmware's are known: the vendor's hypervisor sets them up.
    Withheld {
        name: "ADSP and CDSP",
        registers: &[],
        nodes: &[Kept::Path("/remoteproc-adsp"), Kept::Path("/remoteproc-cdsp")],
    },
    // They can hold up and redirect what passes (Linux `arm-smmu-qcom-debug.c`).
    Withheld {
        name: "translation buffer units",
        registers: &[reg(0x1508_0000, 0x8_0000)],
        nodes: &[Kept::Compatible("qcom,sdm845-tbu")],
    },
    DEBUG,
];

/// The SoC.
pub const SDM845: SocDescription = SocDescription {
    name: "SDM845",
    compatible: &["qcom,sdm845"],
    cpus: Cpus {
        cores: "8x Kryo 385 (Cortex-A55 and A75 derivatives, unconfirmed)",
        affinities: &[0x0, 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700],
        broken_cntvoff: false,
    },
    // `/soc@0`, dma-ranges.
    ipa_bits: 36,
    ram: &[reg(0x8000_0000, 0xf_8000_0000)],
    gic: gicv3(
        "/soc@0/interrupt-controller@17a00000",
        &[reg(0x17a0_0000, 0x1_0000), reg(0x17a6_0000, 0x10_0000)],
        GICR_STRIDE,
        &[Block::new(
            "/soc@0/interrupt-controller@17a00000/msi-controller@17a40000",
            &[reg(0x17a4_0000, 0x2_0000)],
            &[],
        )],
        &[ppi(9, HIGH)],
    ),
    timer: Timer {
        block: Block::new("/timer", &[], &[ppi(1, LOW), ppi(2, LOW), ppi(3, LOW), ppi(0, LOW)]),
    },
    qtimer: qtimer(
        "/soc@0/timer@17c90000",
        &[reg(0x17c9_0000, 0x1000)],
        Block::new(
            "/soc@0/timer@17c90000/frame@17ca0000",
            &[reg(0x17ca_0000, 0x1000), reg(0x17cb_0000, 0x1000)],
            &[spi(7, HIGH), spi(6, HIGH)],
        ),
    ),
    smmus: SMMUS,
    uarts: &[geni_uart(
        "/soc@0/geniqup@ac0000/serial@a84000",
        &[reg(0x00a8_4000, 0x4000)],
        &[spi(354, HIGH)],
        reg(0x00ac_0000, 0x6000),
    )],
    wrappers: &[
        wrapper("/soc@0/geniqup@8c0000", &[reg(0x008c_0000, 0x6000)]),
        wrapper("/soc@0/geniqup@ac0000", &[reg(0x00ac_0000, 0x6000)]),
    ],
    serials: SERIALS,
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@3400000",
            &[reg(0x0340_0000, 0xc0_0000)],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 150,
            placement: Placement::Tiles {
                tiles: &TILES,
                of_pin: &TILE_OF_PIN,
            },
            target: Target { shift: 5, value: 3 },
            egpio: false,
            reserved: &[],
        },
        lines: 151,
    },
    watchdog: Some(watchdog(
        Block::new("/soc@0/watchdog@17980000", &[reg(0x1798_0000, 0x1000)], &[spi(0, EDGE)]),
        WatchdogHandover::Petted,
    )),
    llcc: Some(LLCC),
    pdc: Some(pdc(
        &[reg(0x0b22_0000, 0x3_0000)],
        &[(0, 480, 94), (94, 609, 15), (115, 630, 7)],
    )),
    rsc: Some(rsc(
        "/soc@0/rsc@179c0000",
        &[
            reg(0x179c_0000, 0x1_0000),
            reg(0x179d_0000, 0x1_0000),
            reg(0x179e_0000, 0x1_0000),
        ],
    )),
    cmd_db: Some(cmd_db(
        "/reserved-memory/aop-cmd-db-mem@85fe0000",
        &[reg(0x85fe_0000, 0x2_0000)],
    )),
    ps_hold: None,
    scm: scm("qcom,scm-sdm845", secure::sdm845::POLICY),
    // Registers, then the windows of PCIe 1 and PCIe 0.
    windows: &[reg(0x0010_0000, 0x18f0_0000), reg(0x4000_0000, 0x4000_0000)],
    withheld: WITHHELD,
    uncontained: &[],
};

const LLCC: Llcc = Llcc {
    block: Block::new(
        "/soc@0/system-cache-controller@1100000",
        &[
            reg(0x0110_0000, 0x4_5000),
            reg(0x0118_0000, 0x5_0000),
            reg(0x0120_0000, 0x5_0000),
            reg(0x0128_0000, 0x5_0000),
            reg(0x0130_0000, 0x5_0000),
        ],
        &[spi(582, HIGH)],
    ),
    config: llcc::Config {
        layout: llcc::Layout::V1,
        banks: &[0, 0x8_0000, 0x10_0000, 0x18_0000],
        broadcast: 0x20_0000,
        ecc: llcc::Ecc::Locked,
    },
};

const SERIALS: &[Serial] = &[
    serial(
        SerialKind::GeniI2c,
        "/soc@0/geniqup@ac0000/i2c@a88000",
        &[reg(0x00a8_8000, 0x4000)],
        &[spi(355, HIGH)],
    ),
    serial(
        SerialKind::GeniSpi,
        "/soc@0/geniqup@8c0000/spi@880000",
        &[reg(0x0088_0000, 0x4000)],
        &[spi(601, HIGH)],
    ),
];

/// How far the tiles EAST, NORTH and SOUTH are behind the start (Linux `pinctrl-sdm845.c`).
const TILES: [usize; 3] = [0x10_0000, 0x50_0000, 0x90_0000];
const EAST: u8 = 0;
const NORTH: u8 = 1;
const SOUTH: u8 = 2;

/// In which tile pins are, from this one on (Linux `pinctrl-sdm845.c`, `sdm845_groups`).
const TILE_FROM: &[(usize, u8)] = &[
    (0, EAST),
    (4, NORTH),
    (8, EAST),
    (12, SOUTH),
    (27, EAST),
    (31, NORTH),
    (35, SOUTH),
    (38, NORTH),
    (39, EAST),
    (40, SOUTH),
    (41, EAST),
    (49, NORTH),
    (69, EAST),
    (79, NORTH),
    (85, EAST),
    (89, SOUTH),
    (97, NORTH),
    (122, EAST),
    (127, NORTH),
];

const TILE_OF_PIN: [u8; 150] = {
    let mut of_pin = [0; 150];
    let (mut pin, mut run) = (0, 0);
    while pin < of_pin.len() {
        if run + 1 < TILE_FROM.len() && TILE_FROM[run + 1].0 == pin {
            run += 1;
        }
        of_pin[pin] = TILE_FROM[run].1;
        pin += 1;
    }
    of_pin
};

/// What the tree reserves, at places of its own, for firmware, the vendor's hypervisor and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("hyp-mem@85700000", 0x8570_0000, 0x60_0000),
    reserved("xbl-mem@85e00000", 0x85e0_0000, 0x10_0000),
    reserved("aop-mem@85fc0000", 0x85fc_0000, 0x2_0000),
    reserved("aop-cmd-db-mem@85fe0000", 0x85fe_0000, 0x2_0000),
    reserved("smem@86000000", 0x8600_0000, 0x20_0000),
    reserved("tz@86200000", 0x8620_0000, 0x2d0_0000),
    reserved("rmtfs@88f00000", 0x88f0_0000, 0x20_0000),
    reserved("qseecom@8ab00000", 0x8ab0_0000, 0x140_0000),
    reserved("camera-mem@8bf00000", 0x8bf0_0000, 0x50_0000),
    reserved("ipa-fw@8c400000", 0x8c40_0000, 0x1_0000),
    reserved("ipa-gsi@8c410000", 0x8c41_0000, 0x5000),
    reserved("gpu@8c415000", 0x8c41_5000, 0x2000),
    reserved("adsp@8c500000", 0x8c50_0000, 0x1a0_0000),
    reserved("wlan-msa@8df00000", 0x8df0_0000, 0x10_0000),
    reserved("mpss@8e000000", 0x8e00_0000, 0x780_0000),
    reserved("venus@95800000", 0x9580_0000, 0x50_0000),
    reserved("cdsp@95d00000", 0x95d0_0000, 0x80_0000),
    reserved("mba@96500000", 0x9650_0000, 0x20_0000),
    reserved("slpi@96700000", 0x9670_0000, 0x140_0000),
    reserved("spss@97b00000", 0x97b0_0000, 0x10_0000),
    reserved("framebuffer@9d400000", 0x9d40_0000, 0x240_0000),
];
