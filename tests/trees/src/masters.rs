//! Which devices can reach memory on their own, by what kind of node they are.
//!
//! A tree does not say which device is a bus master. One with `iommus` is; of the others nothing follows. So the
//! question is turned round: each enabled node with registers must be of a kind that is listed here as no master, or be
//! in the description. A kind that nobody has thought about is reported, not taken for harmless.

use crate::tree::Node;

/// What a node is to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It does not reach memory on its own.
    NoMaster,
    /// It does.
    Master,
    /// It is a processor with firmware of its own, which reaches memory by streams that firmware sets up.
    Processor,
    /// It is an SMMU or a part of one.
    Smmu,
    /// Nobody has said.
    Unknown,
}

/// Kinds of node (the name before the unit address, as the Devicetree Specification's 2.2.2 lists them) that are no
/// masters: they are told by registers and answer by registers.
const NO_MASTERS: &[&str] = &[
    // Clocks, power, pins, sensors, mailboxes: registers alone.
    "arbiter",
    "clock",
    "clock-controller",
    "cpufreq",
    "efuse",
    "hwlock",
    "interconnect",
    "lmh",
    "mailbox",
    "pinctrl",
    "power-controller",
    "power-management",
    "power-manager",
    "qfprom",
    "regulator",
    "reset-controller",
    "restart",
    "rng",
    "spmi",
    "sram",
    "syscon",
    "thermal-sensor",
    "timer",
    "frame",
    "watchdog",
    "pmu",
    // Parts of `sram`.
    "minidump-sram",
    "modem-tables",
    "pil-reloc",
    "scp-sram-section",
    // The way from a controller to a connector.
    "phy",
    "dp-phy",
    "usb3-phy",
    "dsi-phy",
    // Camera control: an I2C master that works from registers. The camera itself has streams.
    "cci",
    // Its commands are in memory that the display controller's streams fetch (Linux drivers/gpu/drm/msm/dsi).
    "dsi",
    // Audio codecs and the buses between them; samples come from the audio DSP.
    "audio-codec",
    "codec",
    "sound",
    "soundwire",
    "soundwire-controller",
    // Engines of a GENI wrapper: the wrapper has the streams, and so has the DMA controller.
    "i2c",
    "spi",
    "serial",
    "geniqup",
    // Power requests go to a processor of their own.
    "rsc",
    // The last-level cache stands behind the memory's door, not before it.
    "system-cache-controller",
    // Trace: sources, links and sinks that keep it. The sink that writes memory is told apart in `role`.
    "cti",
    "ctcu",
    "etf",
    "etm",
    "funnel",
    "replicator",
    "stm",
    "tmc",
    "tpda",
    "tpdm",
    "tpiu",
    // The outside of a device whose inside has the streams.
    "display-subsystem",
    "mdss",
    "usb",
    // A GIC without its ITS; redistributors' LPI tables are EL2's to refuse.
    "interrupt-controller",
];

/// Nodes that say more by `compatible` than by their name.
const BY_COMPATIBLE: &[(&str, Role)] = &[
    // Encrypts on the way between UFS and memory, as part of the UFS controller's own accesses.
    ("qcom,inline-crypto-engine", Role::NoMaster),
    // Data capture and compare: copies registers into an SRAM of its own (Linux drivers/soc/qcom/dcc.c).
    ("qcom,dcc", Role::NoMaster),
    // A USB controller with nothing around it.
    ("qcom,ci-hdrc", Role::Master),
    ("snps,dwc3", Role::Master),
];

/// Kinds that are masters.
const MASTERS: &[&str] = &[
    "audio-controller",
    "crypto",
    "dma",
    "dma-controller",
    "ethernet",
    "gpu",
    "mmc",
    "msi-controller",
    "pci",
    "pcie",
    "ufs",
    "ufshc",
    "wifi",
];

/// Debug registers stop a CPU and have it do what they say: as good as a master.
const DEBUG: &[&str] = &["debug"];

/// What a node that has no streams of its own is to memory.
#[must_use]
pub fn role(node: Node<'_>) -> Role {
    if let Some((_, role)) = BY_COMPATIBLE.iter().find(|(name, _)| node.is_compatible(name)) {
        return *role;
    }
    let kind = node.kind();
    match kind {
        "iommu" | "iommu-ctx" | "tbu" => Role::Smmu,
        "remoteproc" => Role::Processor,
        "etr" => Role::Master,
        "tmc" if is_trace_router(node) => Role::Master,
        // A core in the register space of its parent, which is the controller itself where there is none.
        "usb" if is_whole_usb(node) => Role::Master,
        _ if MASTERS.contains(&kind) || DEBUG.contains(&kind) => Role::Master,
        _ if NO_MASTERS.contains(&kind) => Role::NoMaster,
        _ => Role::Unknown,
    }
}

/// Whether a trace memory controller writes to memory: one that has somewhere to pass its trace on to does not.
fn is_trace_router(node: Node<'_>) -> bool {
    node.is_compatible("arm,coresight-tmc") && node.child("out-ports").is_none()
}

/// Whether a USB node is controller and wrapper in one (as in trees from Linux 7.0 on), whose core is no node of its own.
fn is_whole_usb(node: Node<'_>) -> bool {
    !node.children().any(|child| child.kind() == "usb")
}
