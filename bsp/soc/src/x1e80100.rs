//! X1E80100: the X1E80100-CRD.
//!
//! Where a line says nothing else, it is from the device tree `x1e80100-crd` of Linux 6.12. Never run on silicon.

use crate::description::{
    Block, Cpus, Llcc, Master, Reserved, SerialKind, SmmuUnit, SmmuUnitKind, SocDescription, Tlmm, WatchdogHandover,
    Withheld, count_streams, ppi, reg, reserved, spi, streams,
};
use crate::family::{
    DEBUG_V9, EDGE, GICR_STRIDE_V4, GPU, HIGH, TBUS, TIMER, apps_smmu, cmd_db, geni_uart, gicv3, gpu_smmu, group,
    master, pdc, qtimer, rsc, scm, serial, stream, watchdog, wrapper,
};
use crate::secure;
use leasehold_drivers::gpio::tlmm::{Config, Placement, Target};
use leasehold_drivers::llcc;
use leasehold_drivers::smmu::v2::{Streams, Walks};
use leasehold_memory_map::Kept;

/// Who is behind the application subsystem's SMMU, in use on a board or not.
const MASTERS: &[Master] = &[
    master("GPI DMA 2", "/soc@0/dma-controller@800000", &[stream(0x436)]),
    master("QUP 2", "/soc@0/geniqup@8c0000", &[stream(0x423)]),
    master("GPI DMA 1", "/soc@0/dma-controller@a00000", &[stream(0x136)]),
    master("QUP 1", "/soc@0/geniqup@ac0000", &[stream(0x123)]),
    master("GPI DMA 0", "/soc@0/dma-controller@b00000", &[stream(0x456)]),
    master("QUP 0", "/soc@0/geniqup@bc0000", &[stream(0x443)]),
    master(
        "ADSP compute",
        "/soc@0/remoteproc@6800000/glink-edge/fastrpc",
        &[
            group(0x1003, 0x80),
            stream(0x1063),
            group(0x1004, 0x80),
            stream(0x1064),
            group(0x1005, 0x80),
            stream(0x1065),
            group(0x1006, 0x80),
            stream(0x1066),
            group(0x1007, 0x80),
            stream(0x1067),
        ],
    ),
    master(
        "ADSP audio",
        "/soc@0/remoteproc@6800000/glink-edge/gpr/service@1/dais",
        &[group(0x1001, 0x80), stream(0x1061)],
    ),
    master("USB at a000000", "/soc@0/usb@a0f8800/usb@a000000", &[stream(0x14a0)]),
    master("USB at a200000", "/soc@0/usb@a2f8800/usb@a200000", &[stream(0x14e0)]),
    master("USB at a400000", "/soc@0/usb@a4f8800/usb@a400000", &[stream(0x1400)]),
    master("USB at a600000", "/soc@0/usb@a6f8800/usb@a600000", &[stream(0x1420)]),
    master("USB at a800000", "/soc@0/usb@a8f8800/usb@a800000", &[stream(0x1460)]),
    master("display", "/soc@0/display-subsystem@ae00000", &[group(0x1c00, 0x2)]),
    master(
        "CDSP compute",
        "/soc@0/remoteproc@32300000/glink-edge/fastrpc",
        &[
            group(0xc01, 0x20),
            group(0xc02, 0x20),
            group(0xc03, 0x20),
            group(0xc04, 0x20),
            group(0xc05, 0x20),
            group(0xc06, 0x20),
            group(0xc07, 0x20),
            group(0xc08, 0x20),
            group(0xc0c, 0x20),
            group(0xc0d, 0x20),
            group(0xc0e, 0x20),
            group(0xc0f, 0x20),
        ],
    ),
    master("UFS", "/soc@0/ufshc@1d84000", &[stream(0x1a0)]),
    master(
        "crypto BAM",
        "/soc@0/dma-controller@1dc4000",
        &[stream(0x480), stream(0x481)],
    ),
    master("crypto", "/soc@0/crypto@1dfa000", &[stream(0x480), stream(0x481)]),
    master("SDHC 2", "/soc@0/mmc@8804000", &[stream(0x520)]),
    master("SDHC 4", "/soc@0/mmc@8844000", &[stream(0x160)]),
    master(
        "video codec",
        "/soc@0/video-codec@aa00000",
        &[stream(0x1940), stream(0x1947)],
    ),
    master("trace router 0", "/soc@0/tmc@10048000", &[stream(0x4e0)]),
    master("trace router 1", "/soc@0/tmc@1004f000", &[stream(0x500)]),
    master("ADSP firmware", "/soc@0/remoteproc@6800000", &[group(0x1000, 0x80)]),
    master("CDSP firmware", "/soc@0/remoteproc@32300000", &[stream(0xc00)]),
];

const STREAMS: [Streams; count_streams(MASTERS)] = streams(MASTERS);

const GPU_MASTERS: &[Master] = &[
    master("GPU", "/soc@0/gpu@3d00000", &[stream(0x0), stream(0x1)]),
    master("GMU", "/soc@0/gmu@3d6a000", &[stream(0x5)]),
];

/// Each root port has streams of its own, of which the unit has all.
const PCIE_MASTERS: &[Master] = &[
    master("PCIe 3", "/soc@0/pcie@1bd0000", &[]),
    master("PCIe 6a", "/soc@0/pcie@1bf8000", &[]),
    master("PCIe 5", "/soc@0/pcie@1c00000", &[]),
    master("PCIe 4", "/soc@0/pcie@1c08000", &[]),
];

const SMMUS: &[SmmuUnit] = &[
    apps_smmu(
        "/soc@0/iommu@15000000",
        &[reg(0x1500_0000, 0x10_0000)],
        Walks::Cleaned,
        MASTERS,
        &STREAMS,
    ),
    gpu_smmu(
        "/soc@0/iommu@3da0000",
        &[reg(0x03da_0000, 0x4_0000)],
        Walks::CoherentByTree,
        GPU_MASTERS,
    ),
    // Gunyah's own in the trees for EL1.
    SmmuUnit {
        name: "pcie",
        block: Block::new(
            "/soc@0/iommu@15400000",
            &[reg(0x1540_0000, 0x8_0000)],
            &[spi(138, EDGE), spi(134, EDGE), spi(136, EDGE)],
        ),
        kind: SmmuUnitKind::V3,
        masters: PCIE_MASTERS,
    },
];

const WITHHELD: &[Withheld] = &[
    GPU,
    Withheld {
        name: "GMU",
        registers: &[reg(0x0b28_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/gmu@3d6a000")],
    },
    TBUS,
    DEBUG_V9,
];

/// The SoC.
pub const X1E80100: SocDescription = SocDescription {
    name: "X1E80100",
    compatible: &["qcom,x1e80100"],
    cpus: Cpus {
        cores: "12x Oryon",
        affinities: &[
            0x0, 0x100, 0x200, 0x300, 0x1_0000, 0x1_0100, 0x1_0200, 0x1_0300, 0x2_0000, 0x2_0100, 0x2_0200, 0x2_0300,
        ],
        broken_cntvoff: true,
    },
    // `/soc@0`, dma-ranges.
    ipa_bits: 40,
    // All but the high window of PCIe.
    ram: &[reg(0x8000_0000, 0x6_c000_0000), reg(0x7_8000_0000, 0xf8_8000_0000)],
    gic: gicv3(
        "/soc@0/interrupt-controller@17000000",
        &[reg(0x1700_0000, 0x1_0000), reg(0x1708_0000, 0x30_0000)],
        GICR_STRIDE_V4,
        &[Block::new(
            "/soc@0/interrupt-controller@17000000/msi-controller@17040000",
            &[reg(0x1704_0000, 0x4_0000)],
            &[],
        )],
        &[ppi(9, HIGH)],
    ),
    timer: TIMER,
    qtimer: qtimer(
        "/soc@0/timer@17800000",
        &[reg(0x1780_0000, 0x1000)],
        Block::new(
            "/soc@0/timer@17800000/frame@17801000",
            &[reg(0x1780_1000, 0x1000), reg(0x1780_2000, 0x1000)],
            &[spi(8, HIGH), spi(6, HIGH)],
        ),
    ),
    smmus: SMMUS,
    uarts: &[geni_uart(
        "/soc@0/geniqup@8c0000/serial@894000",
        &[reg(0x0089_4000, 0x4000)],
        &[spi(813, HIGH)],
        reg(0x008c_0000, 0x2000),
    )],
    wrappers: &[
        wrapper("/soc@0/geniqup@8c0000", &[reg(0x008c_0000, 0x2000)]),
        wrapper("/soc@0/geniqup@ac0000", &[reg(0x00ac_0000, 0x2000)]),
        wrapper("/soc@0/geniqup@bc0000", &[reg(0x00bc_0000, 0x2000)]),
    ],
    serials: &[
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@ac0000/i2c@a80000",
            &[reg(0x00a8_0000, 0x4000)],
            &[spi(800, HIGH)],
        ),
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@bc0000/i2c@b80000",
            &[reg(0x00b8_0000, 0x4000)],
            &[spi(373, HIGH)],
        ),
    ],
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@f100000",
            &[reg(0x0f10_0000, 0xf0_0000)],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 238,
            placement: Placement::Flat,
            target: Target { shift: 5, value: 3 },
            egpio: true,
            reserved: &[],
        },
        lines: 239,
    },
    // In the trees from Linux 7.3 on: reserved for Gunyah in those for EL1, enabled in `x1e80100-crd-el2.dtb`.
    watchdog: Some(watchdog(
        Block::new("/soc@0/watchdog@17410000", &[reg(0x1741_0000, 0x1000)], &[spi(0, EDGE)]),
        WatchdogHandover::Petted,
    )),
    llcc: Some(Llcc {
        block: Block::new(
            "/soc@0/system-cache-controller@25000000",
            &[
                reg(0x2500_0000, 0x20_0000),
                reg(0x2520_0000, 0x20_0000),
                reg(0x2540_0000, 0x20_0000),
                reg(0x2560_0000, 0x20_0000),
                reg(0x2580_0000, 0x20_0000),
                reg(0x25a0_0000, 0x20_0000),
                reg(0x25c0_0000, 0x20_0000),
                reg(0x25e0_0000, 0x20_0000),
                reg(0x2600_0000, 0x20_0000),
                reg(0x2620_0000, 0x20_0000),
            ],
            &[spi(266, HIGH)],
        ),
        config: llcc::Config {
            layout: llcc::Layout::V2_1,
            banks: &[
                0x0, 0x20_0000, 0x40_0000, 0x60_0000, 0x80_0000, 0xa0_0000, 0xc0_0000, 0xe0_0000,
            ],
            broadcast: 0x100_0000,
            ecc: llcc::Ecc::SetUp,
        },
    }),
    pdc: Some(pdc(
        &[reg(0x0b22_0000, 0x3_0000), reg(0x1740_00f0, 0x64)],
        &[
            (0, 480, 42),
            (42, 251, 5),
            (47, 522, 52),
            (99, 609, 32),
            (131, 717, 12),
            (143, 816, 19),
        ],
    )),
    rsc: Some(rsc(
        "/soc@0/rsc@17500000",
        &[
            reg(0x1750_0000, 0x1_0000),
            reg(0x1751_0000, 0x1_0000),
            reg(0x1752_0000, 0x1_0000),
        ],
    )),
    cmd_db: Some(cmd_db(
        "/reserved-memory/aop-cmd-db@81c60000",
        &[reg(0x81c6_0000, 0x2_0000)],
    )),
    ps_hold: None,
    scm: scm("qcom,scm-x1e80100", secure::x1e80100::POLICY),
    // Where the trees have nodes; gaps of up to 4 MiB are closed.
    windows: &[
        reg(0x0010_0000, 0xac_2000),
        reg(0x00fd_3000, 0xf_1000),
        reg(0x0150_0000, 0xaf_0000),
        reg(0x03d0_0000, 0xe_0000),
        reg(0x0680_0000, 0xc6_b000),
        reg(0x07e4_0000, 0xf000),
        reg(0x0880_4000, 0xe_3000),
        reg(0x0a00_0000, 0x129_0000),
        reg(0x0c22_2000, 0x6d_e000),
        reg(0x0f10_0000, 0xf0_0000),
        reg(0x1500_0000, 0x48_0000),
        reg(0x1700_0000, 0x80_e000),
        reg(0x1883_0000, 0x31_f000),
        reg(0x1c84_0000, 0x1_1000),
        reg(0x221c_8000, 0x1000),
        reg(0x2409_1000, 0x2_6000),
        reg(0x2500_0000, 0x171_2000),
        reg(0x320c_0000, 0x25_0000),
        reg(0x7000_0000, 0x400_0000),
        reg(0x7800_0000, 0x800_0000),
        reg(0x7_4000_0000, 0x4000_0000),
    ],
    withheld: WITHHELD,
    uncontained: &[],
};

/// What the tree reserves for firmware, the vendor's hypervisor and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("gunyah-hyp@80000000", 0x8000_0000, 0x80_0000),
    reserved("hyp-elf-package@80800000", 0x8080_0000, 0x20_0000),
    reserved("ncc@80a00000", 0x80a0_0000, 0x40_0000),
    reserved("cpucp-log@80e00000", 0x80e0_0000, 0x4_0000),
    reserved("cpucp@80e40000", 0x80e4_0000, 0x54_0000),
    reserved("reserved-region@81380000", 0x8138_0000, 0x8_0000),
    reserved("tags-region@81400000", 0x8140_0000, 0x1a_0000),
    reserved("xbl-dtlog@81a00000", 0x81a0_0000, 0x4_0000),
    reserved("xbl-ramdump@81a40000", 0x81a4_0000, 0x1c_0000),
    reserved("aop-image@81c00000", 0x81c0_0000, 0x6_0000),
    reserved("aop-cmd-db@81c60000", 0x81c6_0000, 0x2_0000),
    reserved("aop-config@81c80000", 0x81c8_0000, 0x2_0000),
    reserved("tme-crash-dump@81ca0000", 0x81ca_0000, 0x4_0000),
    reserved("tme-log@81ce0000", 0x81ce_0000, 0x4000),
    reserved("uefi-log@81ce4000", 0x81ce_4000, 0x1_0000),
    reserved("secdata-apss@81cff000", 0x81cf_f000, 0x1000),
    reserved("pdp-ns-shared@81e00000", 0x81e0_0000, 0x10_0000),
    reserved("gpu-prr@81f00000", 0x81f0_0000, 0x1_0000),
    reserved("tpm-control@81f10000", 0x81f1_0000, 0x1_0000),
    reserved("usb-ucsi-shared@81f20000", 0x81f2_0000, 0x1_0000),
    reserved("pld-pep@81f30000", 0x81f3_0000, 0x6000),
    reserved("pld-gmu@81f36000", 0x81f3_6000, 0x1000),
    reserved("pld-pdp@81f37000", 0x81f3_7000, 0x1000),
    reserved("tz-stat@82700000", 0x8270_0000, 0x10_0000),
    reserved("xbl-tmp-buffer@82800000", 0x8280_0000, 0xc0_0000),
    reserved("adsp-rpc-remote-heap@84b00000", 0x84b0_0000, 0x80_0000),
    reserved("spu-secure-shared-memory@85300000", 0x8530_0000, 0x8_0000),
    reserved("adsp-boot-dtb@866c0000", 0x866c_0000, 0x4_0000),
    reserved("spss-region@86700000", 0x8670_0000, 0x40_0000),
    reserved("adsp-boot@86b00000", 0x86b0_0000, 0xc0_0000),
    reserved("video@87700000", 0x8770_0000, 0x70_0000),
    reserved("adspslpi@87e00000", 0x87e0_0000, 0x3a0_0000),
    reserved("q6-adsp-dtb@8b800000", 0x8b80_0000, 0x8_0000),
    reserved("cdsp@8b900000", 0x8b90_0000, 0x200_0000),
    reserved("q6-cdsp-dtb@8d900000", 0x8d90_0000, 0x8_0000),
    reserved("gpu-microcode@8d9fe000", 0x8d9f_e000, 0x2000),
    reserved("cvp@8da00000", 0x8da0_0000, 0x70_0000),
    reserved("camera@8e100000", 0x8e10_0000, 0x80_0000),
    reserved("av1-encoder@8e900000", 0x8e90_0000, 0x70_0000),
    reserved("reserved-region@8f000000", 0x8f00_0000, 0xa0_0000),
    reserved("wpss@8fa00000", 0x8fa0_0000, 0x190_0000),
    reserved("q6-wpss-dtb@91300000", 0x9130_0000, 0x8_0000),
    reserved("xbl-sc@d8000000", 0xd800_0000, 0x4_0000),
    reserved("reserved-region@d8040000", 0xd804_0000, 0xa_0000),
    reserved("qtee@d80e0000", 0xd80e_0000, 0x52_0000),
    reserved("ta@d8600000", 0xd860_0000, 0x8a0_0000),
    reserved("tags@e1000000", 0xe100_0000, 0x26a_0000),
    reserved("llcc-lpi@ff800000", 0xff80_0000, 0x60_0000),
    reserved("smem@ffe00000", 0xffe0_0000, 0x20_0000),
];
