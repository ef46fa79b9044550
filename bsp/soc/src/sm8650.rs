//! SM8650: the SM8650-HDK.
//!
//! Where a line says nothing else, it is from the device tree `sm8650-hdk` of Linux 6.12. Never run on silicon.

use crate::description::{
    Block, Cpus, Llcc, Master, Reserved, SerialKind, SmmuUnit, SocDescription, Tlmm, Withheld, count_streams, ppi, reg,
    reserved, spi, streams,
};
use crate::family::{
    DEBUG_V9, GICR_STRIDE_V4, GPU, HIGH, LOW, TBUS, TIMER, apps_smmu, cmd_db, geni_uart, gicv3, gpu_smmu, group,
    master, pdc, qtimer, rsc, scm, serial, stream, wrapper,
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
    master("GPI DMA 1", "/soc@0/dma-controller@a00000", &[stream(0xb6)]),
    master("QUP 1", "/soc@0/geniqup@ac0000", &[group(0xa3, 0x3)]),
    master("PCIe 0", "/soc@0/pcie@1c00000", &[stream(0x1400), stream(0x1401)]),
    master("PCIe 1", "/soc@0/pcie@1c08000", &[stream(0x1480), stream(0x1481)]),
    master(
        "crypto BAM",
        "/soc@0/dma-controller@1dc4000",
        &[stream(0x480), stream(0x481)],
    ),
    master("crypto", "/soc@0/crypto@1dfa000", &[stream(0x480), stream(0x481)]),
    master("UFS", "/soc@0/ufs@1d84000", &[stream(0x60)]),
    master("IPA", "/soc@0/ipa@3f40000", &[stream(0x4a0), stream(0x4a2)]),
    master(
        "ADSP compute",
        "/soc@0/remoteproc@6800000/glink-edge/fastrpc",
        &[
            group(0x1003, 0x80),
            group(0x1043, 0x20),
            group(0x1004, 0x80),
            group(0x1044, 0x20),
            group(0x1005, 0x80),
            group(0x1045, 0x20),
            group(0x1006, 0x80),
            group(0x1046, 0x20),
            group(0x1007, 0x40),
            stream(0x1067),
            stream(0x1087),
        ],
    ),
    master(
        "ADSP audio",
        "/soc@0/remoteproc@6800000/glink-edge/gpr/service@1/dais",
        &[group(0x1001, 0x80), stream(0x1061)],
    ),
    master("SDHC 2", "/soc@0/mmc@8804000", &[stream(0x540)]),
    master("display", "/soc@0/display-subsystem@ae00000", &[group(0x1c00, 0x2)]),
    master("USB at a600000", "/soc@0/usb@a6f8800/usb@a600000", &[stream(0x40)]),
    master(
        "CDSP compute",
        "/soc@0/remoteproc@32300000/glink-edge/fastrpc",
        &[
            stream(0x1961),
            group(0xc01, 0x20),
            stream(0x19c1),
            stream(0x1962),
            group(0xc02, 0x20),
            stream(0x19c2),
            stream(0x1963),
            group(0xc03, 0x20),
            stream(0x19c3),
            stream(0x1964),
            group(0xc04, 0x20),
            stream(0x19c4),
            stream(0x1965),
            group(0xc05, 0x20),
            stream(0x19c5),
            stream(0x1966),
            group(0xc06, 0x20),
            stream(0x19c6),
            stream(0x1967),
            group(0xc07, 0x20),
            stream(0x19c7),
            stream(0x1968),
            group(0xc08, 0x20),
            stream(0x19c8),
            stream(0x196c),
            group(0xc0c, 0x20),
            stream(0x19cc),
            stream(0x196d),
            group(0xc0d, 0x20),
            stream(0x19cd),
            stream(0x196e),
            group(0xc0e, 0x20),
            stream(0x19ce),
        ],
    ),
    master(
        "video codec",
        "/soc@0/video-codec@aa00000",
        &[stream(0x1940), stream(0x1947)],
    ),
    master(
        "camera",
        "/soc@0/isp@acb6000",
        &[group(0x800, 0x20), group(0x18a0, 0x40), stream(0x1860)],
    ),
];

const STREAMS: [Streams; count_streams(MASTERS)] = streams(MASTERS);

const GPU_MASTERS: &[Master] = &[
    master("GPU", "/soc@0/gpu@3d00000", &[stream(0x0), stream(0x1)]),
    master("GMU", "/soc@0/gmu@3d6a000", &[stream(0x5)]),
];

const SMMUS: &[SmmuUnit] = &[
    apps_smmu(
        "/soc@0/iommu@15000000",
        &[reg(0x1500_0000, 0x10_0000)],
        Walks::CoherentByTree,
        MASTERS,
        &STREAMS,
    ),
    gpu_smmu(
        "/soc@0/iommu@3da0000",
        &[reg(0x03da_0000, 0x4_0000)],
        Walks::CoherentByTree,
        GPU_MASTERS,
    ),
];

const WITHHELD: &[Withheld] = &[
    GPU,
    Withheld {
        name: "GMU",
        registers: &[reg(0x0b28_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/gmu@3d6a000")],
    },
    // Its memory is behind the vendor's protection units and not behind the SMMU.
    Withheld {
        name: "modem",
        registers: &[reg(0x0408_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/remoteproc@4080000")],
    },
    TBUS,
    DEBUG_V9,
];

/// The SoC.
pub const SM8650: SocDescription = SocDescription {
    name: "SM8650",
    compatible: &["qcom,sm8650"],
    cpus: Cpus {
        cores: "2x Cortex-A520, 5x Cortex-A720, 1x Cortex-X4",
        affinities: &[0x0, 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700],
        broken_cntvoff: false,
    },
    // `/soc@0`, dma-ranges.
    ipa_bits: 36,
    ram: &[reg(0x8000_0000, 0xf_8000_0000)],
    gic: gicv3(
        "/soc@0/interrupt-controller@17100000",
        &[reg(0x1710_0000, 0x1_0000), reg(0x1718_0000, 0x20_0000)],
        GICR_STRIDE_V4,
        &[Block::new(
            "/soc@0/interrupt-controller@17100000/msi-controller@17140000",
            &[reg(0x1714_0000, 0x4_0000)],
            &[],
        )],
        &[ppi(9, LOW)],
    ),
    timer: TIMER,
    qtimer: qtimer(
        "/soc@0/timer@17420000",
        &[reg(0x1742_0000, 0x1000)],
        Block::new(
            "/soc@0/timer@17420000/frame@17421000",
            &[reg(0x1742_1000, 0x1000), reg(0x1742_2000, 0x1000)],
            &[spi(8, HIGH), spi(6, HIGH)],
        ),
    ),
    smmus: SMMUS,
    uarts: &[geni_uart(
        "/soc@0/geniqup@8c0000/serial@89c000",
        &[reg(0x0089_c000, 0x4000)],
        &[spi(462, HIGH)],
        reg(0x008c_0000, 0x2000),
    )],
    wrappers: &[
        wrapper("/soc@0/geniqup@8c0000", &[reg(0x008c_0000, 0x2000)]),
        wrapper("/soc@0/geniqup@ac0000", &[reg(0x00ac_0000, 0x2000)]),
    ],
    serials: &[
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@ac0000/i2c@a8c000",
            &[reg(0x00a8_c000, 0x4000)],
            &[spi(356, HIGH)],
        ),
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@ac0000/i2c@a98000",
            &[reg(0x00a9_8000, 0x4000)],
            &[spi(363, HIGH)],
        ),
    ],
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@f100000",
            &[reg(0x0f10_0000, 0x30_0000)],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 210,
            placement: Placement::Flat,
            target: Target { shift: 8, value: 3 },
            egpio: true,
            reserved: &[],
        },
        lines: 211,
    },
    // No tree has one.
    watchdog: None,
    llcc: Some(Llcc {
        block: Block::new(
            "/soc@0/system-cache-controller@25000000",
            &[
                reg(0x2500_0000, 0x20_0000),
                reg(0x2540_0000, 0x20_0000),
                reg(0x2520_0000, 0x20_0000),
                reg(0x2560_0000, 0x20_0000),
                reg(0x2580_0000, 0x20_0000),
                reg(0x25a0_0000, 0x20_0000),
            ],
            &[spi(266, HIGH)],
        ),
        config: llcc::Config {
            layout: llcc::Layout::V2_1,
            banks: &[0x0, 0x40_0000, 0x20_0000, 0x60_0000],
            broadcast: 0x80_0000,
            ecc: llcc::Ecc::Open,
        },
    }),
    pdc: Some(pdc(
        &[reg(0x0b22_0000, 0x3_0000), reg(0x1740_00f0, 0x64)],
        &[
            (0, 480, 94),
            (94, 609, 31),
            (125, 63, 1),
            (126, 716, 12),
            (138, 251, 5),
            (143, 244, 4),
        ],
    )),
    rsc: Some(rsc(
        "/soc@0/rsc@17a00000",
        &[
            reg(0x17a0_0000, 0x1_0000),
            reg(0x17a1_0000, 0x1_0000),
            reg(0x17a2_0000, 0x1_0000),
            reg(0x17a3_0000, 0x1_0000),
        ],
    )),
    cmd_db: Some(cmd_db(
        "/reserved-memory/aop-cmd-db@81c60000",
        &[reg(0x81c6_0000, 0x2_0000)],
    )),
    ps_hold: None,
    scm: scm("qcom,scm-sm8650", secure::unknown::POLICY),
    // Where the trees have nodes; gaps of up to 4 MiB are closed.
    windows: &[
        reg(0x0010_0000, 0x9c_2000),
        reg(0x010c_3000, 0x1000),
        reg(0x0150_0000, 0x2d_c000),
        reg(0x01c0_0000, 0x46_0000),
        reg(0x03d0_0000, 0x39_0000),
        reg(0x0680_0000, 0x6a_0000),
        reg(0x0740_0000, 0x6_b000),
        reg(0x07e4_0000, 0xf000),
        reg(0x0880_4000, 0xe_7000),
        reg(0x0a60_0000, 0xc9_0000),
        reg(0x0c22_2000, 0x6d_e000),
        reg(0x0f10_0000, 0x30_0000),
        reg(0x1468_0000, 0x2_c000),
        reg(0x1500_0000, 0x10_0000),
        reg(0x1710_0000, 0x32_e000),
        reg(0x17a0_0000, 0x39_5000),
        reg(0x2409_1000, 0x13_5000),
        reg(0x2500_0000, 0xc0_0000),
        reg(0x320c_0000, 0x25_0000),
        reg(0x4000_0000, 0x2400_0000),
    ],
    withheld: WITHHELD,
    uncontained: &[],
};

/// What the tree reserves for firmware, the vendor's hypervisor and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("hyp@80000000", 0x8000_0000, 0xe0_0000),
    reserved("cpusys-vm@80e00000", 0x80e0_0000, 0x40_0000),
    reserved("xbl-dt-log-merged@81a00000", 0x81a0_0000, 0x26_0000),
    reserved("aop-cmd-db@81c60000", 0x81c6_0000, 0x2_0000),
    reserved("aop-tme-uefi-merged@81c80000", 0x81c8_0000, 0x7_5000),
    reserved("smem@81d00000", 0x81d0_0000, 0x20_0000),
    reserved("adsp-mhi@81f00000", 0x81f0_0000, 0x2_0000),
    reserved("pvmfw@824a0000", 0x824a_0000, 0x10_0000),
    reserved("global-sync@82600000", 0x8260_0000, 0x10_0000),
    reserved("tz-stat@82700000", 0x8270_0000, 0x10_0000),
    reserved("qdss@82800000", 0x8280_0000, 0x200_0000),
    reserved("qlink-logging@84800000", 0x8480_0000, 0x20_0000),
    reserved("mpss-dsm@86b00000", 0x86b0_0000, 0x490_0000),
    reserved("mpss-dsm-2@8b400000", 0x8b40_0000, 0x80_0000),
    reserved("mpss@8bc00000", 0x8bc0_0000, 0xf40_0000),
    reserved("q6-mpss-dtb@9b000000", 0x9b00_0000, 0x8_0000),
    reserved("ipa-fw@9b080000", 0x9b08_0000, 0x1_0000),
    reserved("ipa-gsi@9b090000", 0x9b09_0000, 0xa000),
    reserved("gpu-micro-code@9b09a000", 0x9b09_a000, 0x2000),
    reserved("spss@9b0a0000", 0x9b0a_0000, 0x1e_0000),
    reserved("spu-tz-shared@9b280000", 0x9b28_0000, 0x6_0000),
    reserved("spu-modem-shared@9b2e0000", 0x9b2e_0000, 0x2_0000),
    reserved("camera@9b300000", 0x9b30_0000, 0x80_0000),
    reserved("video@9bb00000", 0x9bb0_0000, 0x80_0000),
    reserved("cvp@9c300000", 0x9c30_0000, 0x70_0000),
    reserved("cdsp@9ca00000", 0x9ca0_0000, 0x140_0000),
    reserved("q6-cdsp-dtb@9de00000", 0x9de0_0000, 0x8_0000),
    reserved("q6-adsp-dtb@9de80000", 0x9de8_0000, 0x8_0000),
    reserved("adspslpi@9df00000", 0x9df0_0000, 0x408_0000),
    reserved("rmtfs@d7c00000", 0xd7c0_0000, 0x40_0000),
    reserved("tz-merged@d8000000", 0xd800_0000, 0x80_0000),
    reserved("hwfence-shbuf@e6440000", 0xe644_0000, 0x2d_d000),
    reserved("trust-ui-vm@f3800000", 0xf380_0000, 0x440_0000),
    reserved("oem-vm@f7c00000", 0xf7c0_0000, 0x4c0_0000),
    reserved("llcc-lpi@ff800000", 0xff80_0000, 0x60_0000),
];
