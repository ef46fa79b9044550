//! SM8650 HDK (SM8650).

use leasehold_boards::soc::sm8650::{self, SM8650};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
pub const BOARD: Description = Description {
    name: "sm8650-hdk",
    title: "Qualcomm SM8650 HDK",
    tier: Tier::TreeOnly,
    machine: Machine::Qualcomm { soc: &SM8650, log: 0 },
    // Free in the tree. Where this board's loader would put it is unconfirmed.
    load_address: PhysAddr::new(0xa800_0000),
    tree: Some(Tree {
        file: "qcom/sm8650-hdk.dtb",
        compatible: "qcom,sm8650-hdk",
    }),
    reserved: sm8650::RESERVED,
    reserved_pins: &[32..40, 74..75],
    entry: El2Entry::Unknown("none known"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
