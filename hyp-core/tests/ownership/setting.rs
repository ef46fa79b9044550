//! The machine that worlds are on, and what can be called in one.

use crate::machine::{Control, Omission};
use crate::model::{Made, PAGE};
use leasehold_hyp_core::{Layout, VmId};

pub const LEASES: usize = 4;
pub const GUESTS: usize = 2;

/// Four 2 MiB blocks: two that are RAM all over, one whose second half has the hypervisor, one that ends early.
pub const RAM: u64 = 0x4000_0000;
pub const RAM_END: u64 = 0x407f_d000;
pub const HYPERVISOR: u64 = 0x4050_0000;
pub const HYPERVISOR_END: u64 = 0x4060_0000;
/// Not aligned to the root's size on purpose.
pub const POOL: u64 = 0x4050_1000;
/// As many as no test uses up by the way.
pub const POOL_PAGES: u64 = 64;
pub const BLOCK: u64 = 0x20_0000;
pub const UART: u64 = 0x0900_0000;
pub const WINDOW: u64 = 0x0a00_0000;

/// RAM leaves, as the Arm ARM's figures have them: Write-Back, Inner Shareable, read-write, AF, executable.
pub const RAM_BLOCK: u64 = 0x7fd;
pub const RAM_PAGE: u64 = 0x7ff;
/// Device leaves: Non-cacheable (stage 1 decides), Outer Shareable, read-write, AF, XN.
pub const DEVICE_BLOCK: u64 = 0x40_0000_0000_06d5;
pub const DEVICE_PAGE: u64 = 0x40_0000_0000_06d7;

pub fn made(page: u64) -> Made {
    match page {
        HYPERVISOR..HYPERVISOR_END => Made::Hypervisor,
        RAM..RAM_END => Made::Ram,
        UART..0x0900_1000 => Made::Device,
        WINDOW..0x0a20_0000 => Made::Device,
        _ => Made::Nothing,
    }
}

/// Pages where something is different from its neighbour.
pub const EDGES: [u64; 20] = [
    RAM,
    RAM + PAGE,
    RAM + 2 * PAGE,
    RAM + 64 * PAGE,
    RAM + BLOCK - PAGE,
    RAM + BLOCK,
    RAM + BLOCK + PAGE,
    RAM + BLOCK + 65 * PAGE,
    RAM + 2 * BLOCK - PAGE,
    RAM + 2 * BLOCK,
    HYPERVISOR - PAGE,
    HYPERVISOR,
    POOL,
    HYPERVISOR_END - PAGE,
    HYPERVISOR_END,
    RAM_END - PAGE,
    RAM_END,
    UART,
    UART + PAGE,
    WINDOW,
];

/// Where guests put what they retrieve: block-aligned and not, side by side and overlapping.
pub const GUEST_IPAS: [u64; 6] = [
    0x4000_0000,
    0x4000_1000,
    0x4020_0000,
    0x4020_1000,
    0x8000_0000,
    0x7f_c000_0000,
];

/// What somebody does.
#[derive(Clone, Debug)]
pub enum Call {
    Create(VmId),
    /// The VM runs from now on, on every CPU.
    Start(VmId),
    Destroy(VmId),
    Lend {
        by: VmId,
        to: VmId,
        ranges: Vec<(u64, u32)>,
    },
    /// Leases are named by their place in the list of all that ever were.
    Retrieve {
        by: VmId,
        lease: usize,
        ipa: u64,
    },
    Relinquish {
        by: VmId,
        lease: usize,
    },
    Reclaim {
        by: VmId,
        lease: usize,
    },
    /// The host has a page back, whoever has it.
    Take {
        page: u64,
    },
    Pin {
        by: VmId,
        ipa: u64,
    },
    Unpin {
        by: VmId,
        ipa: u64,
    },
    Load {
        guest: VmId,
        to: u64,
        from: u64,
    },
    /// Waits for the VM's TLBs run out, or not.
    Stick {
        vm: VmId,
        stuck: bool,
    },
    /// The memory controller does something else from now on.
    Control(Control),
}

/// How a world is made.
#[derive(Clone)]
pub struct Config {
    pub layout: Layout,
    pub omission: Option<Omission>,
    /// Whether there is a memory controller.
    pub controlled: bool,
    pub ipa_bits: u8,
    pub pool_pages: u64,
    /// The pages that are looked at.
    pub pages: Vec<u64>,
    /// The guests' addresses that are looked at.
    pub guest_pages: Vec<u64>,
}

impl Config {
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            omission: None,
            controlled: false,
            ipa_bits: 40,
            pool_pages: POOL_PAGES,
            pages: EDGES.to_vec(),
            guest_pages: guest_pages(),
        }
    }
}

fn guest_pages() -> Vec<u64> {
    let around = |ipa: u64| [ipa, ipa + PAGE, ipa + 64 * PAGE, ipa + BLOCK - PAGE];
    let mut pages: Vec<u64> = GUEST_IPAS.into_iter().flat_map(around).collect();
    pages.sort_unstable();
    pages.dedup();
    pages
}
