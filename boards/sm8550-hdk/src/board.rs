//! SM8550 HDK (SM8550).

use leasehold_boards::soc::sm8550::{self, SM8550};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
#[allow(
    clippy::single_range_in_vec_init,
    reason = "a list of ranges, which happens to have one"
)]
pub const BOARD: Description = Description {
    name: "sm8550-hdk",
    title: "Qualcomm SM8550 HDK",
    tier: Tier::TreeOnly,
    machine: Machine::Qualcomm { soc: &SM8550, log: 0 },
    // Free in the tree. Where this board's loader would put it is unconfirmed.
    load_address: PhysAddr::new(0xa800_0000),
    tree: Some(Tree {
        file: "qcom/sm8550-hdk.dtb",
        compatible: "qcom,sm8550-hdk",
    }),
    reserved: sm8550::RESERVED,
    reserved_pins: &[32..40],
    entry: El2Entry::Unknown("none known"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
