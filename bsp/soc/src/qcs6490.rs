//! QCS6490 ("kodiak"), as SC7280 and QCM6490 too: the RB3 Gen 2.
//!
//! Where a line says nothing else, it is from the device tree `qcs6490-rb3gen2` of Linux 6.12. Never run on silicon.

use crate::description::{
    Block, Cpus, Llcc, Master, Reserved, SerialKind, SmmuUnit, SocDescription, Tlmm, WatchdogHandover, Withheld,
    count_streams, ppi, reg, reserved, spi, streams,
};
use crate::family::{
    DEBUG, EDGE, GICR_STRIDE, GPU, HIGH, LOW, TBUS, TIMER, apps_smmu, cmd_db, firmware_master, geni_uart, gicv3,
    gpu_smmu, group, master, pdc, qtimer, rsc, scm, serial, stream, watchdog, wrapper,
};
use crate::secure;
use leasehold_drivers::gpio::tlmm::{Config, Placement, Target};
use leasehold_drivers::llcc;
use leasehold_drivers::smmu::v2::{Streams, Walks};
use leasehold_memory_map::Kept;

/// Where the device tree for EL2 is that has what firmware's streams are.
const EL2_TREE: &str = "kodiak-el2.dtso (linux-arm-msm, v10)";

/// Who is behind the application subsystem's SMMU, in use on a board or not.
const MASTERS: &[Master] = &[
    master("SDHC 1", "/soc@0/mmc@7c4000", &[stream(0xc0)]),
    master("GPI DMA 0", "/soc@0/dma-controller@900000", &[stream(0x136)]),
    master("QUP 0", "/soc@0/geniqup@9c0000", &[stream(0x123)]),
    master("GPI DMA 1", "/soc@0/dma-controller@a00000", &[stream(0x56)]),
    master("QUP 1", "/soc@0/geniqup@ac0000", &[stream(0x43)]),
    master("Wi-Fi", "/soc@0/wifi@17a10040", &[group(0x1c00, 1)]),
    firmware_master("Wi-Fi firmware", EL2_TREE, &[group(0x1c02, 1)]),
    // From Linux 7.3 on.
    master("PCIe 0", "/soc@0/pcie@1c00000", &[stream(0x1c00), stream(0x1c01)]),
    // From Linux 7.3 on a stream for each function of the switch on the board: 0x1c84 and on.
    master(
        "PCIe 1",
        "/soc@0/pcie@1c08000",
        &[
            stream(0x1c80),
            stream(0x1c81),
            stream(0x1c84),
            stream(0x1c85),
            stream(0x1c86),
            stream(0x1c87),
            stream(0x1c88),
            stream(0x1c89),
            stream(0x1c90),
        ],
    ),
    master("UFS", "/soc@0/ufs@1d84000", &[stream(0x80)]),
    master(
        "crypto BAM",
        "/soc@0/dma-controller@1dc4000",
        &[group(0x4e4, 0x11), group(0x4e6, 0x11)],
    ),
    master("crypto", "/soc@0/crypto@1dfa000", &[group(0x4e4, 0x11)]),
    master("IPA", "/soc@0/ipa@1e40000", &[stream(0x480), stream(0x482)]),
    master(
        "LPASS",
        "/soc@0/audio@3987000",
        &[stream(0x1820), stream(0x1821), stream(0x1832)],
    ),
    master("SLIMbus BAM", "/soc@0/dma-controller@3a84000", &[stream(0x1826)]),
    master("SLIMbus", "/soc@0/slim-ngd@3ac0000", &[stream(0x1826)]),
    master("trace router", "/soc@0/etr@6048000", &[stream(0x4c0)]),
    master("SDHC 2", "/soc@0/mmc@8804000", &[stream(0x100)]),
    master("QSPI", "/soc@0/spi@88dc000", &[stream(0x20)]),
    master("USB 2", "/soc@0/usb@8cf8800/usb@8c00000", &[stream(0xa0)]),
    master("USB 1", "/soc@0/usb@a6f8800/usb@a600000", &[stream(0xe0)]),
    master("Venus", "/soc@0/video-codec@aa00000", &[group(0x2180, 0x20)]),
    firmware_master("Venus firmware", EL2_TREE, &[stream(0x21a2)]),
    // From Linux 7.3 on.
    master("camera", "/soc@0/isp@acb3000", &[group(0x800, 0x4e0)]),
    master("display", "/soc@0/display-subsystem@ae00000", &[group(0x900, 0x402)]),
    firmware_master("ADSP firmware", EL2_TREE, &[stream(0x1800)]),
    master(
        "ADSP audio",
        "/soc@0/remoteproc@3700000/glink-edge/apr/service@7/dais",
        &[stream(0x1801)],
    ),
    master(
        "ADSP compute",
        "/soc@0/remoteproc@3700000/glink-edge/fastrpc",
        &[stream(0x1803), stream(0x1804), stream(0x1805)],
    ),
    firmware_master("CDSP firmware", EL2_TREE, &[group(0x11a0, 0x400)]),
    master("CDSP compute", "/soc@0/remoteproc@a300000/glink-edge/fastrpc", CDSP),
];

const CDSP: &[Streams] = &[
    group(0x11a1, 0x420),
    group(0x1181, 0x420),
    group(0x11a2, 0x420),
    group(0x1182, 0x420),
    group(0x11a3, 0x420),
    group(0x1183, 0x420),
    group(0x11a4, 0x420),
    group(0x1184, 0x420),
    group(0x11a5, 0x420),
    group(0x1185, 0x420),
    group(0x11a6, 0x420),
    group(0x1186, 0x420),
    group(0x11a7, 0x420),
    group(0x1187, 0x420),
    group(0x11a8, 0x420),
    group(0x1188, 0x420),
    group(0x11ab, 0x420),
    group(0x118b, 0x420),
    group(0x11ac, 0x420),
    group(0x118c, 0x420),
    group(0x11ad, 0x420),
    group(0x118d, 0x420),
    group(0x11ae, 0x420),
    group(0x118e, 0x420),
];

const STREAMS: [Streams; count_streams(MASTERS)] = streams(MASTERS);

const GPU_MASTERS: &[Master] = &[
    master("GPU", "/soc@0/gpu@3d00000", &[group(0, 0x400), group(1, 0x400)]),
    master("GMU", "/soc@0/gmu@3d6a000", &[group(5, 0x400)]),
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
        &[reg(0x03da_0000, 0x2_0000)],
        Walks::CoherentByTree,
        GPU_MASTERS,
    ),
];

const WITHHELD: &[Withheld] = &[
    GPU,
    Withheld {
        name: "GMU",
        registers: &[reg(0x0b29_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/gmu@3d6a000")],
    },
    // Copies what it is told to, without a stream (Linux `drivers/misc/qcom-dcc`; unconfirmed that it has none).
    Withheld {
        name: "DCC",
        registers: &[reg(0x0117_f000, 0x1000), reg(0x0111_2000, 0x6000)],
        nodes: &[Kept::Compatible("qcom,dcc")],
    },
    // Its memory is behind the vendor's protection units and not behind the SMMU; not started at EL2 (kodiak-el2.dtso).
    Withheld {
        name: "modem",
        registers: &[reg(0x0408_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/remoteproc@4080000")],
    },
    // No stream of its own firmware's is known.
    Withheld {
        name: "WPSS",
        registers: &[reg(0x08a0_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/remoteproc@8a00000")],
    },
    TBUS,
    DEBUG,
    // Debug through the USB port.
    Withheld {
        name: "EUD",
        registers: &[reg(0x088e_0000, 0x3000)],
        nodes: &[Kept::Path("/soc@0/eud@88e0000")],
    },
];

/// The SoC.
pub const QCS6490: SocDescription = SocDescription {
    name: "QCS6490",
    compatible: &["qcom,qcs6490", "qcom,qcm6490", "qcom,sc7280"],
    cpus: Cpus {
        // TF-A, `plat/qti/hoya/kodiak/rb3gen2/platform.mk`.
        cores: "4x Cortex-A55, 4x Cortex-A78",
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
        &[ppi(9, LOW)],
    ),
    timer: TIMER,
    qtimer: qtimer(
        "/soc@0/timer@17c20000",
        &[reg(0x17c2_0000, 0x1000)],
        Block::new(
            "/soc@0/timer@17c20000/frame@17c21000",
            &[reg(0x17c2_1000, 0x1000), reg(0x17c2_2000, 0x1000)],
            &[spi(8, HIGH), spi(6, HIGH)],
        ),
    ),
    smmus: SMMUS,
    uarts: &[geni_uart(
        "/soc@0/geniqup@9c0000/serial@994000",
        &[reg(0x0099_4000, 0x4000)],
        &[spi(606, HIGH)],
        reg(0x009c_0000, 0x2000),
    )],
    wrappers: &[
        wrapper("/soc@0/geniqup@9c0000", &[reg(0x009c_0000, 0x2000)]),
        wrapper("/soc@0/geniqup@ac0000", &[reg(0x00ac_0000, 0x2000)]),
    ],
    serials: &[
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@9c0000/i2c@980000",
            &[reg(0x0098_0000, 0x4000)],
            &[spi(601, HIGH)],
        ),
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@9c0000/i2c@984000",
            &[reg(0x0098_4000, 0x4000)],
            &[spi(602, HIGH)],
        ),
    ],
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@f100000",
            &[reg(0x0f10_0000, 0x30_0000)],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 175,
            placement: Placement::Flat,
            target: Target { shift: 5, value: 3 },
            egpio: true,
            reserved: &[],
        },
        lines: 175,
    },
    watchdog: Some(watchdog(
        Block::new("/soc@0/watchdog@17c10000", &[reg(0x17c1_0000, 0x1000)], &[spi(0, EDGE)]),
        WatchdogHandover::Untouched(
            "reserved in the tree: Gunyah keeps it, and that it is free after Gunyah's exit is unconfirmed",
        ),
    )),
    llcc: Some(Llcc {
        block: Block::new(
            "/soc@0/system-cache-controller@9200000",
            &[
                reg(0x0920_0000, 0x5_8000),
                reg(0x0928_0000, 0x5_8000),
                reg(0x0960_0000, 0x5_8000),
            ],
            &[spi(582, HIGH)],
        ),
        config: llcc::Config {
            layout: llcc::Layout::V1,
            banks: &[0, 0x8_0000],
            broadcast: 0x40_0000,
            ecc: llcc::Ecc::Open,
        },
    }),
    pdc: Some(pdc(
        &[reg(0x0b22_0000, 0x3_0000)],
        &[
            (0, 480, 40),
            (40, 140, 14),
            (54, 263, 1),
            (55, 306, 4),
            (59, 312, 3),
            (62, 374, 2),
            (64, 434, 2),
            (66, 438, 3),
            (69, 86, 1),
            (70, 520, 54),
            (124, 609, 31),
            (155, 63, 1),
            (156, 716, 12),
        ],
    )),
    rsc: Some(rsc(
        "/soc@0/rsc@18200000",
        &[
            reg(0x1820_0000, 0x1_0000),
            reg(0x1821_0000, 0x1_0000),
            reg(0x1822_0000, 0x1_0000),
        ],
    )),
    cmd_db: Some(cmd_db(
        "/reserved-memory/aop-cmd-db@80860000",
        &[reg(0x8086_0000, 0x2_0000)],
    )),
    ps_hold: Some(Block::documented(
        "TF-A plat/qti/hoya/kodiak/inc/kodiak_def.h",
        &[reg(0x0c26_4000, 4)],
    )),
    scm: scm("qcom,scm-sc7280", secure::qcs6490::POLICY),
    // Registers, then the windows of PCIe 1 and PCIe 0.
    windows: &[reg(0x0010_0000, 0x18f0_0000), reg(0x4000_0000, 0x4000_0000)],
    withheld: WITHHELD,
    uncontained: &[],
};

/// What the tree reserves for firmware, the vendor's hypervisor and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("hyp@80000000", 0x8000_0000, 0x60_0000),
    reserved("xbl@80700000", 0x8070_0000, 0x10_0000),
    reserved("aop@80800000", 0x8080_0000, 0x6_0000),
    reserved("aop-cmd-db@80860000", 0x8086_0000, 0x2_0000),
    reserved("xbl-uefi-res@80880000", 0x8088_4000, 0x1_0000),
    reserved("sec-apps@808ff000", 0x808f_f000, 0x1000),
    reserved("smem@80900000", 0x8090_0000, 0x20_0000),
    reserved("cpucp@80b00000", 0x80b0_0000, 0x10_0000),
    reserved("wlan-fw@80c00000", 0x80c0_0000, 0xc0_0000),
    reserved("cdsp-secure-heap@81800000", 0x8180_0000, 0x1e0_0000),
    reserved("camera@84300000", 0x8430_0000, 0x50_0000),
    reserved("wpss@84800000", 0x8480_0000, 0x190_0000),
    reserved("adsp@86100000", 0x8610_0000, 0x280_0000),
    reserved("cdsp@88900000", 0x8890_0000, 0x1e0_0000),
    reserved("video@8a700000", 0x8a70_0000, 0x70_0000),
    reserved("cvp@8ae00000", 0x8ae0_0000, 0x50_0000),
    reserved("ipa-fw@8b300000", 0x8b30_0000, 0x1_0000),
    reserved("ipa-gsi@8b310000", 0x8b31_0000, 0xa000),
    reserved("gpu-microcode@8b31a000", 0x8b31_a000, 0x2000),
    reserved("zap@8b71a000", 0x8b71_a000, 0x2000),
    reserved("mpss@8b800000", 0x8b80_0000, 0xf60_0000),
    reserved("tz-stat@c0000000", 0xc000_0000, 0x10_0000),
    reserved("tags@c0100000", 0xc010_0000, 0x120_0000),
    reserved("qtee@c1300000", 0xc130_0000, 0x50_0000),
    reserved("trusted-apps@c1800000", 0xc180_0000, 0x1c0_0000),
    reserved("debug-vm@d0600000", 0xd060_0000, 0x10_0000),
    // From Linux 7.3 on.
    reserved("memory@f8500000", 0xf850_0000, 0x60_0000),
];
