//! SM8250, as QRB5165 too: the Robotics RB5.
//!
//! Where a line says nothing else, it is from the device tree `qrb5165-rb5` of Linux 6.12. Never run on silicon.

use crate::description::{
    Block, Cpus, Llcc, Master, Reserved, SerialKind, SmmuUnit, SocDescription, Tlmm, WatchdogHandover, Withheld,
    count_streams, ppi, reg, reserved, spi, streams,
};
use crate::family::{
    DEBUG, EDGE, GICR_STRIDE, GPU, HIGH, TBUS, TIMER, apps_smmu, cmd_db, geni_uart, gicv3, gpu_smmu, group, master,
    pdc, qtimer, rsc, scm, serial, stream, watchdog, wrapper,
};
use crate::secure;
use leasehold_drivers::gpio::tlmm::{Config, Placement, Target};
use leasehold_drivers::llcc;
use leasehold_drivers::smmu::v2::{Streams, Walks};
use leasehold_memory_map::Kept;

/// The tile of each pin (Linux `drivers/pinctrl/qcom/pinctrl-sm8250.c`): how many pins in a row are in which.
const TILES: [u8; 180] = tiles(&[
    (SOUTH, 4),
    (NORTH, 20),
    (SOUTH, 4),
    (NORTH, 4),
    (SOUTH, 34),
    (NORTH, 3),
    (SOUTH, 8),
    (NORTH, 8),
    (SOUTH, 7),
    (NORTH, 33),
    (SOUTH, 8),
    (WEST, 47),
]);
const WEST: u8 = 0;
const SOUTH: u8 = 1;
const NORTH: u8 = 2;

/// A tile for each pin, from runs of pins.
const fn tiles(runs: &[(u8, usize)]) -> [u8; 180] {
    let mut of_pin = [0; 180];
    let (mut pin, mut run) = (0, 0);
    while run < runs.len() {
        let end = pin + runs[run].1;
        while pin < end {
            of_pin[pin] = runs[run].0;
            pin += 1;
        }
        run += 1;
    }
    assert!(pin == of_pin.len(), "a tile for each pin");
    of_pin
}

/// Who is behind the application subsystem's SMMU, in use on a board or not.
const MASTERS: &[Master] = &[
    master("GPI DMA 2", "/soc@0/dma-controller@800000", &[stream(0x76)]),
    master("QUP 2", "/soc@0/geniqup@8c0000", &[stream(0x63)]),
    master("GPI DMA 0", "/soc@0/dma-controller@900000", &[stream(0x5b6)]),
    master("QUP 0", "/soc@0/geniqup@9c0000", &[stream(0x5a3)]),
    master("GPI DMA 1", "/soc@0/dma-controller@a00000", &[stream(0x56)]),
    master("QUP 1", "/soc@0/geniqup@ac0000", &[stream(0x43)]),
    master("PCIe 0", "/soc@0/pcie@1c00000", &[stream(0x1c00), stream(0x1c01)]),
    master("PCIe 1", "/soc@0/pcie@1c08000", &[stream(0x1c80), stream(0x1c81)]),
    master("PCIe 2", "/soc@0/pcie@1c10000", &[stream(0x1d00), stream(0x1d01)]),
    master("UFS", "/soc@0/ufshc@1d84000", &[stream(0xe0), stream(0x4e0)]),
    master(
        "crypto BAM",
        "/soc@0/dma-controller@1dc4000",
        &[
            stream(0x592),
            stream(0x598),
            stream(0x599),
            stream(0x59f),
            group(0x586, 0x11),
            group(0x596, 0x11),
        ],
    ),
    master(
        "crypto",
        "/soc@0/crypto@1dfa000",
        &[
            stream(0x592),
            stream(0x598),
            stream(0x599),
            stream(0x59f),
            group(0x586, 0x11),
            group(0x596, 0x11),
        ],
    ),
    master(
        "SLPI compute",
        "/soc@0/remoteproc@5c00000/glink-edge/fastrpc",
        &[stream(0x541), stream(0x542), stream(0x543)],
    ),
    master(
        "CDSP compute",
        "/soc@0/remoteproc@8300000/glink-edge/fastrpc",
        &[
            group(0x1001, 0x460),
            group(0x1002, 0x460),
            group(0x1003, 0x460),
            group(0x1004, 0x460),
            group(0x1005, 0x460),
            group(0x1006, 0x460),
            group(0x1007, 0x460),
            group(0x1008, 0x460),
        ],
    ),
    master("SDHC 2", "/soc@0/mmc@8804000", &[stream(0x4a0)]),
    master("USB at a600000", "/soc@0/usb@a6f8800/usb@a600000", &[stream(0x0)]),
    master("USB at a800000", "/soc@0/usb@a8f8800/usb@a800000", &[stream(0x20)]),
    master("video codec", "/soc@0/video-codec@aa00000", &[group(0x2100, 0x400)]),
    master(
        "camera",
        "/soc@0/camss@ac6a000",
        &[
            group(0x800, 0x400),
            group(0x801, 0x400),
            group(0x840, 0x400),
            group(0x841, 0x400),
            group(0xc00, 0x400),
            group(0xc01, 0x400),
            group(0xc40, 0x400),
            group(0xc41, 0x400),
        ],
    ),
    master("display", "/soc@0/display-subsystem@ae00000", &[group(0x820, 0x402)]),
    master(
        "ADSP audio",
        "/soc@0/remoteproc@17300000/glink-edge/apr/service@7/dais",
        &[stream(0x1801)],
    ),
    master(
        "ADSP compute",
        "/soc@0/remoteproc@17300000/glink-edge/fastrpc",
        &[stream(0x1803), stream(0x1804), stream(0x1805)],
    ),
];

const STREAMS: [Streams; count_streams(MASTERS)] = streams(MASTERS);

const GPU_MASTERS: &[Master] = &[
    master("GPU", "/soc@0/gpu@3d00000", &[group(0x0, 0x401)]),
    master("GMU", "/soc@0/gmu@3d6a000", &[group(0x5, 0x400)]),
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
        &[reg(0x03da_0000, 0x1_0000)],
        Walks::CoherentByTree,
        GPU_MASTERS,
    ),
];

const WITHHELD: &[Withheld] = &[
    GPU,
    Withheld {
        name: "GMU",
        registers: &[reg(0x0b29_0000, 0x1_0000), reg(0x0b49_0000, 0x1_0000)],
        nodes: &[Kept::Path("/soc@0/gmu@3d6a000")],
    },
    TBUS,
    DEBUG,
];

/// The SoC.
pub const SM8250: SocDescription = SocDescription {
    name: "SM8250",
    compatible: &["qcom,sm8250"],
    cpus: Cpus {
        cores: "8x Kryo 485 (Cortex-A55 and Cortex-A77 derivatives: unconfirmed)",
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
        &[],
        &[ppi(9, HIGH)],
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
        "/soc@0/geniqup@ac0000/serial@a90000",
        &[reg(0x00a9_0000, 0x4000)],
        &[spi(357, HIGH)],
        reg(0x00ac_0000, 0x6000),
    )],
    wrappers: &[
        wrapper("/soc@0/geniqup@8c0000", &[reg(0x008c_0000, 0x6000)]),
        wrapper("/soc@0/geniqup@9c0000", &[reg(0x009c_0000, 0x6000)]),
        wrapper("/soc@0/geniqup@ac0000", &[reg(0x00ac_0000, 0x6000)]),
    ],
    serials: &[
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@8c0000/i2c@884000",
            &[reg(0x0088_4000, 0x4000)],
            &[spi(583, HIGH)],
        ),
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@9c0000/i2c@990000",
            &[reg(0x0099_0000, 0x4000)],
            &[spi(605, HIGH)],
        ),
        serial(
            SerialKind::GeniI2c,
            "/soc@0/geniqup@9c0000/i2c@994000",
            &[reg(0x0099_4000, 0x4000)],
            &[spi(606, HIGH)],
        ),
        serial(
            SerialKind::GeniSpi,
            "/soc@0/geniqup@9c0000/spi@980000",
            &[reg(0x0098_0000, 0x4000)],
            &[spi(601, HIGH)],
        ),
    ],
    tlmm: Tlmm {
        block: Block::new(
            "/soc@0/pinctrl@f100000",
            &[
                reg(0x0f10_0000, 0x30_0000),
                reg(0x0f50_0000, 0x30_0000),
                reg(0x0f90_0000, 0x30_0000),
            ],
            &[spi(208, HIGH)],
        ),
        config: Config {
            pins: 180,
            placement: Placement::Tiles {
                tiles: &[0, 0x40_0000, 0x80_0000],
                of_pin: &TILES,
            },
            target: Target { shift: 5, value: 3 },
            egpio: true,
            reserved: &[],
        },
        lines: 181,
    },

    watchdog: Some(watchdog(
        Block::new("/soc@0/watchdog@17c10000", &[reg(0x17c1_0000, 0x1000)], &[spi(0, EDGE)]),
        WatchdogHandover::Petted,
    )),
    llcc: Some(Llcc {
        block: Block::new(
            "/soc@0/system-cache-controller@9200000",
            &[
                reg(0x0920_0000, 0x5_0000),
                reg(0x0928_0000, 0x5_0000),
                reg(0x0930_0000, 0x5_0000),
                reg(0x0938_0000, 0x5_0000),
                reg(0x0960_0000, 0x5_0000),
            ],
            &[],
        ),
        config: llcc::Config {
            layout: llcc::Layout::V1,
            banks: &[0x0, 0x8_0000, 0x10_0000, 0x18_0000],
            broadcast: 0x40_0000,
            ecc: llcc::Ecc::Open,
        },
    }),
    pdc: Some(pdc(
        &[reg(0x0b22_0000, 0x3_0000), reg(0x17c0_00f0, 0x60)],
        &[(0, 480, 94), (94, 609, 31), (125, 63, 1), (126, 716, 12)],
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
        "/reserved-memory/memory@80860000",
        &[reg(0x8086_0000, 0x2_0000)],
    )),
    ps_hold: None,
    scm: scm("qcom,scm-sm8250", secure::unknown::POLICY),
    // Where the trees have nodes; gaps of up to 4 MiB are closed.
    windows: &[
        reg(0x0010_0000, 0x9c_6000),
        reg(0x0150_0000, 0x26_0000),
        reg(0x01c0_0000, 0x3f_0000),
        reg(0x0320_0000, 0x36_0000),
        reg(0x03d0_0000, 0xf_0000),
        reg(0x05c0_0000, 0x4000),
        reg(0x0830_0000, 0x1_0000),
        reg(0x0880_4000, 0xe_8000),
        reg(0x0909_1000, 0x90_1000),
        reg(0x0a60_0000, 0xea_0000),
        reg(0x0c22_2000, 0x257_e000),
        reg(0x0f10_0000, 0xb0_0000),
        reg(0x1500_0000, 0x10_0000),
        reg(0x1730_0000, 0x1000),
        reg(0x17a0_0000, 0x22_e000),
        reg(0x1820_0000, 0x39_4000),
        reg(0x4000_0000, 0x2800_0000),
    ],
    withheld: WITHHELD,
    uncontained: &[],
};

/// What the tree reserves for firmware, the vendor's hypervisor and remote processors.
pub const RESERVED: &[Reserved] = &[
    reserved("memory@80000000", 0x8000_0000, 0x60_0000),
    reserved("memory@80700000", 0x8070_0000, 0x16_0000),
    reserved("memory@80860000", 0x8086_0000, 0x2_0000),
    reserved("memory@80900000", 0x8090_0000, 0x20_0000),
    reserved("memory@80b00000", 0x80b0_0000, 0x530_0000),
    reserved("memory@86200000", 0x8620_0000, 0x50_0000),
    reserved("memory@86700000", 0x8670_0000, 0x10_0000),
    reserved("memory@86800000", 0x8680_0000, 0x1_0000),
    reserved("memory@86810000", 0x8681_0000, 0xa000),
    reserved("memory@8681a000", 0x8681_a000, 0x2000),
    reserved("memory@86900000", 0x8690_0000, 0x50_0000),
    reserved("memory@86e00000", 0x86e0_0000, 0x50_0000),
    reserved("memory@87300000", 0x8730_0000, 0x50_0000),
    reserved("memory@87800000", 0x8780_0000, 0x140_0000),
    reserved("memory@88c00000", 0x88c0_0000, 0x150_0000),
    reserved("memory@8a100000", 0x8a10_0000, 0x1d0_0000),
    reserved("memory@8be00000", 0x8be0_0000, 0x10_0000),
    reserved("memory@8bf00000", 0x8bf0_0000, 0x460_0000),
];
