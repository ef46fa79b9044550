//! Robotics RB5 (SM8250, as QRB5165).

use leasehold_boards::soc::sm8250::{self, SM8250};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
#[allow(
    clippy::single_range_in_vec_init,
    reason = "a list of ranges, which happens to have one"
)]
pub const BOARD: Description = Description {
    name: "rb5",
    title: "Qualcomm Robotics RB5",
    tier: Tier::TreeOnly,
    machine: Machine::Qualcomm { soc: &SM8250, log: 0 },
    // Free in the tree. Where this board's loader would put it is unconfirmed.
    load_address: PhysAddr::new(0x9fc0_0000),
    tree: Some(Tree {
        file: "qcom/qrb5165-rb5.dtb",
        compatible: "qcom,qrb5165-rb5",
    }),
    reserved: sm8250::RESERVED,
    reserved_pins: &[40..44],
    entry: El2Entry::Unknown("none known"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
