//! RB3 Gen 2 (QCS6490).

use leasehold_boards::soc::qcs6490::{self, QCS6490};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
pub const BOARD: Description = Description {
    name: "rb3gen2",
    title: "Qualcomm RB3 Gen 2",
    tier: Tier::DocumentedRoute,
    machine: Machine::Qualcomm { soc: &QCS6490, log: 0 },
    // Where XBL loads what is in UEFI's slot (0x9fb00000 to 0xa0a00000), and TF-A's package for it starts.
    load_address: PhysAddr::new(0x9fc0_0000),
    tree: Some(Tree {
        file: "qcom/qcs6490-rb3gen2.dtb",
        compatible: "qcom,qcs6490-rb3gen2",
    }),
    reserved: qcs6490::RESERVED,
    reserved_pins: &[32..34, 48..52],
    entry: El2Entry::GunyahExit("Gunyah exit by SMC; vendor's configuration without Gunyah; TF-A"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
