//! X1E80100 CRD (X1E80100).

use leasehold_boards::soc::x1e80100::{self, X1E80100};
use leasehold_boards::{Description, El2Entry, Firmware, Machine, PhysAddr, Policy, STOCK_LINUX, Tier, Tree, qualcomm};

/// The board.
pub const BOARD: Description = Description {
    name: "x1e80100-crd",
    title: "Qualcomm X1E80100 CRD",
    tier: Tier::DocumentedRoute,
    machine: Machine::Qualcomm { soc: &X1E80100, log: 0 },
    // Free in the tree; a UEFI application that loads the image has to ask for it. Unconfirmed on a board.
    load_address: PhysAddr::new(0xa000_0000),
    tree: Some(Tree {
        file: "qcom/x1e80100-crd.dtb",
        compatible: "qcom,x1e80100-crd",
    }),
    reserved: x1e80100::RESERVED,
    reserved_pins: &[34..36, 44..48, 238..239],
    entry: El2Entry::Loader("slbounce (Secure Launch) from UEFI; unconfirmed on this very board"),
    firmware: Firmware::Qualcomm,
    policy: Policy::DEFAULT,
    policy_reason: STOCK_LINUX,
    overrides: false,
    accept_uncontained: false,
    verified: qualcomm::TREE_AND_MODELS,
};
