//! DragonBoard 845c (RB3) (SDM845).

use leasehold_boards::soc::sdm845::{self, SDM845};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
pub const BOARD: Description = Description {
    name: "db845c",
    title: "Qualcomm DragonBoard 845c (RB3)",
    tier: Tier::TreeOnly,
    machine: Machine::Qualcomm { soc: &SDM845, log: 0 },
    // Free in the tree. Where a loader of its would put it is unconfirmed.
    load_address: PhysAddr::new(0x9f80_0000),
    tree: Some(Tree {
        file: "qcom/sdm845-db845c.dtb",
        compatible: "thundercomm,db845c",
    }),
    reserved: sdm845::RESERVED,
    reserved_pins: &[],
    entry: El2Entry::Unknown("none known"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
