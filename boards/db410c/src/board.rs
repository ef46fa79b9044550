//! DragonBoard 410c (APQ8016).

use leasehold_boards::soc::apq8016::{self, APQ8016};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
pub const BOARD: Description = Description {
    name: "db410c",
    title: "Qualcomm DragonBoard 410c",
    tier: Tier::DocumentedRoute,
    machine: Machine::Qualcomm { soc: &APQ8016, log: 0 },
    // Where TF-A enters what is in the slot of the boot loader (`PRELOADED_BL33_BASE`).
    load_address: PhysAddr::new(0x8f60_0000),
    tree: Some(Tree {
        file: "qcom/apq8016-sbc.dtb",
        compatible: "qcom,apq8016-sbc",
    }),
    reserved: apq8016::RESERVED,
    reserved_pins: &[],
    entry: El2Entry::Loader("qhypstub in the hyp partition; TF-A in place of TrustZone"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    // Half of the SoC reaches all memory. Its owner must say so before anything can be lent.
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
