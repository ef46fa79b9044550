//! SM8550: the SM8550-HDK.
//!
//! Where a line says nothing else, it is from the device tree `sm8550-hdk` of Linux 6.12. Never run on silicon.

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
    master("QUP 1", "/soc@0/geniqup@ac0000", &[stream(0xa3)]),
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
    master("SDHC 2", "/soc@0/mmc@8804000", &[stream(0x540)]),
    master("display", "/soc@0/display-subsystem@ae00000", &[group(0x1c00, 0x2)]),
    master("USB at a600000", "/soc@0/usb@a6f8800/usb@a600000", &[stream(0x40)]),
    master(
        "CDSP compute",
        "/soc@0/remoteproc@32300000/glink-edge/fastrpc",
        &[
            stream(0x1961),
            group(0xc01, 0x20),
            group(0x19c1, 0x10),
            stream(0x1962),
            group(0xc02, 0x20),
            group(0x19c2, 0x10),
            stream(0x1963),
            group(0xc03, 0x20),
            group(0x19c3, 0x10),
            stream(0x1964),
            group(0xc04, 0x20),
            group(0x19c4, 0x10),
            stream(0x1965),
            group(0xc05, 0x20),
            group(0x19c5, 0x10),
            stream(0x1966),
            group(0xc06, 0x20),
            group(0x19c6, 0x10),
            stream(0x1967),
            group(0xc07, 0x20),
            group(0x19c7, 0x10),
            stream(0x1968),
            group(0xc08, 0x20),
            group(0x19c8, 0x10),
        ],
    ),
    master(
        "video codec",
        "/soc@0/video-codec@aa00000",
        &[stream(0x1940), stream(0x1947)],
    ),
    master("camera", "/soc@0/isp@acb7000", &[group(0x800, 0x20)]),
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
pub const SM8550: SocDescription = SocDescription {
    name: "SM8550",
    compatible: &["qcom,sm8550"],
    cpus: Cpus {
        cores: "3x Cortex-A510, 2x Cortex-A715, 2x Cortex-A710, 1x Cortex-X3",
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
        "/soc@0/geniqup@ac0000/serial@a9c000",
        &[reg(0x00a9_c000, 0x4000)],
        &[spi(579, HIGH)],
        reg(0x00ac_0000, 0x2000),
    )],
    wrappers: &[
        wrapper("/soc@0/geniqup@8c0000", &[reg(0x008c_0000, 0x2000)]),
        wrapper("/soc@0/geniqup@ac0000", &[reg(0x00ac_0000, 0x2000)]),
    ],
    serials: &[serial(
        SerialKind::GeniI2c,
        "/soc@0/geniqup@ac0000/i2c@a80000",
        &[reg(0x00a8_0000, 0x4000)],
        &[spi(353, HIGH)],
    )],
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@f100000",
            &[reg(0x0f10_0000, 0x30_0000)],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 210,
            placement: Placement::Flat,
            target: Target { shift: 5, value: 3 },
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
                reg(0x2520_0000, 0x20_0000),
                reg(0x2540_0000, 0x20_0000),
                reg(0x2560_0000, 0x20_0000),
                reg(0x2580_0000, 0x20_0000),
                reg(0x25a0_0000, 0x20_0000),
            ],
            &[spi(266, HIGH)],
        ),
        config: llcc::Config {
            layout: llcc::Layout::V2_1,
            banks: &[0x0, 0x20_0000, 0x40_0000, 0x60_0000],
            broadcast: 0x80_0000,
            ecc: llcc::Ecc::Open,
        },
    }),
    pdc: Some(pdc(
        &[reg(0x0b22_0000, 0x3_0000), reg(0x1740_00f0, 0x64)],
        &[(0, 480, 94), (94, 609, 31), (125, 63, 1), (126, 716, 12), (138, 251, 5)],
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
        "/reserved-memory/aop-cmd-db-region@81c60000",
        &[reg(0x81c6_0000, 0x2_0000)],
    )),
    ps_hold: None,
    scm: scm("qcom,scm-sm8550", secure::unknown::POLICY),
    // Where the trees have nodes; gaps of up to 4 MiB are closed.
    windows: &[
        reg(0x0010_0000, 0x9c_2000),
        reg(0x010c_3000, 0x1000),
        reg(0x0150_0000, 0x2d_c000),
        reg(0x01c0_0000, 0x3f_0000),
        reg(0x03d0_0000, 0x39_0000),
        reg(0x0680_0000, 0xc6_b000),
        reg(0x07e4_0000, 0xf000),
        reg(0x0880_4000, 0xe_7000),
        reg(0x0a60_0000, 0xc9_0000),
        reg(0x0c22_2000, 0x6d_e000),
        reg(0x0f10_0000, 0x30_0000),
        reg(0x1468_0000, 0x2_c000),
        reg(0x1500_0000, 0x10_0000),
        reg(0x1710_0000, 0x32_e000),
        reg(0x17a0_0000, 0x39_4000),
        reg(0x2409_1000, 0x12_b000),
        reg(0x2500_0000, 0xc0_0000),
        reg(0x320c_0000, 0x25_0000),
        reg(0x4000_0000, 0x2400_0000),
    ],
    withheld: WITHHELD,
    uncontained: &[],
};

/// What the tree reserves for firmware, the vendor's hypervisor and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("hyp-region@80000000", 0x8000_0000, 0xa0_0000),
    reserved("cpusys-vm-region@80a00000", 0x80a0_0000, 0x40_0000),
    reserved("hyp-tags-region@80e00000", 0x80e0_0000, 0x3d_0000),
    reserved("xbl-sc-region@d8100000", 0xd810_0000, 0x4_0000),
    reserved("hyp-tags-reserved-region@811d0000", 0x811d_0000, 0x3_0000),
    reserved("xbl-dt-log-merged-region@81a00000", 0x81a0_0000, 0x26_0000),
    reserved("aop-cmd-db-region@81c60000", 0x81c6_0000, 0x2_0000),
    reserved("aop-config-merged-region@81c80000", 0x81c8_0000, 0x7_4000),
    reserved("smem@81d00000", 0x81d0_0000, 0x20_0000),
    reserved("adsp-mhi-region@81f00000", 0x81f0_0000, 0x2_0000),
    reserved("global-sync-region@82600000", 0x8260_0000, 0x10_0000),
    reserved("tz-stat-region@82700000", 0x8270_0000, 0x10_0000),
    reserved("cdsp-secure-heap-region@82800000", 0x8280_0000, 0x460_0000),
    reserved("mpss-region@8a800000", 0x8a80_0000, 0x1080_0000),
    reserved("q6-mpss-dtb-region@9b000000", 0x9b00_0000, 0x8_0000),
    reserved("ipa-fw-region@9b080000", 0x9b08_0000, 0x1_0000),
    reserved("ipa-gsi-region@9b090000", 0x9b09_0000, 0xa000),
    reserved("gpu-micro-code-region@9b09a000", 0x9b09_a000, 0x2000),
    reserved("spss-region@9b100000", 0x9b10_0000, 0x18_0000),
    reserved("spu-tz-shared-region@9b280000", 0x9b28_0000, 0x6_0000),
    reserved("spu-modem-shared-region@9b2e0000", 0x9b2e_0000, 0x2_0000),
    reserved("camera-region@9b300000", 0x9b30_0000, 0x80_0000),
    reserved("video-region@9bb00000", 0x9bb0_0000, 0x70_0000),
    reserved("cvp-region@9c200000", 0x9c20_0000, 0x70_0000),
    reserved("cdsp-region@9c900000", 0x9c90_0000, 0x200_0000),
    reserved("q6-cdsp-dtb-region@9e900000", 0x9e90_0000, 0x8_0000),
    reserved("q6-adsp-dtb-region@9e980000", 0x9e98_0000, 0x8_0000),
    reserved("adspslpi-region@9ea00000", 0x9ea0_0000, 0x408_0000),
    reserved("rmtfs-region@d4a80000", 0xd4a8_0000, 0x28_0000),
    reserved("mpss-dsm-region@d4d00000", 0xd4d0_0000, 0x330_0000),
    reserved("tz-reserved-region@d8000000", 0xd800_0000, 0x10_0000),
    reserved("cpucp-fw-region@d8140000", 0xd814_0000, 0x1c_0000),
    reserved("qtee-region@d8300000", 0xd830_0000, 0x50_0000),
    reserved("ta-region@d8800000", 0xd880_0000, 0x8a0_0000),
    reserved("tz-tags-region@e1200000", 0xe120_0000, 0x274_0000),
    reserved("hwfence-shbuf-region@e6440000", 0xe644_0000, 0x27_9000),
    reserved("trust-ui-vm-region@f3600000", 0xf360_0000, 0x4ae_e000),
    reserved("trust-ui-vm-dump-region@f80ee000", 0xf80e_e000, 0x1000),
    reserved("trust-ui-vm-qrt-region@f80ef000", 0xf80e_f000, 0x9000),
    reserved("trust-ui-vm-vblk0-ring-region@f80f8000", 0xf80f_8000, 0x4000),
    reserved("trust-ui-vm-vblk1-ring-region@f80fc000", 0xf80f_c000, 0x4000),
    reserved("trust-ui-vm-swiotlb-region@f8100000", 0xf810_0000, 0x10_0000),
    reserved("oem-vm-region@f8400000", 0xf840_0000, 0x480_0000),
    reserved("oem-vm-vblk0-ring-region@fcc00000", 0xfcc0_0000, 0x4000),
    reserved("oem-vm-swiotlb-region@fcc04000", 0xfcc0_4000, 0x10_0000),
    reserved("hyp-ext-tags-region@fce00000", 0xfce0_0000, 0x290_0000),
    reserved("hyp-ext-reserved-region@ff700000", 0xff70_0000, 0x10_0000),
];
