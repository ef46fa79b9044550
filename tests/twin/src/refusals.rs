//! Machines that do not start: each with what is wrong, and what the log says.

use crate::board::QemuVirt;
use crate::machine::{Machine, Trouble};
use crate::profile::{self, Profile};
use crate::twin::{SOUND, Setting, Twin, nothing};
use leasehold_drivers::smmu::v3::model::SimMemory;
use leasehold_hyp_core::layout::MAX_CPUS;
use leasehold_memory_map::MachineTree;
use leasehold_trees::{NodeId, Tree};
use std::fmt::Write as _;

type Spoil = fn(&SimMemory, &mut (u64, Vec<u8>));

/// One thing that is wrong.
struct Case {
    what: &'static str,
    tree: fn(&mut Tree),
    spoil: Spoil,
    profile: &'static Profile,
    trouble: Trouble,
}

const fn of_tree(what: &'static str, tree: fn(&mut Tree)) -> Case {
    Case {
        what,
        tree,
        spoil: nothing,
        profile: &profile::QEMU_VIRT,
        trouble: SOUND,
    }
}

const fn of_loader(what: &'static str, spoil: Spoil) -> Case {
    Case {
        spoil,
        ..of_tree(what, |_| {})
    }
}

/// Where the tree in the repository has the kernel.
const KERNEL: u64 = 0x4400_0000;

static NARROW: Profile = Profile {
    physical_bits: 36,
    ..profile::QEMU_VIRT
};

fn node(tree: &Tree, path: &str) -> NodeId {
    tree.at(path).unwrap_or_else(|| panic!("the tree has no {path}")).id()
}

fn reg(start: u64, len: u64) -> Vec<u8> {
    [start.to_be_bytes(), len.to_be_bytes()].concat()
}

fn named(tree: &Tree, kind: &str) -> NodeId {
    let mut nodes = tree.nodes();
    nodes
        .find(|node| node.kind() == kind)
        .map(|node| node.id())
        .expect("a node of the kind")
}

fn add_cpus(tree: &mut Tree) {
    let cpus = node(tree, "/cpus");
    for number in 4..=MAX_CPUS as u32 {
        let cpu = tree.add(cpus, &format!("cpu@{number:x}"));
        tree.set(cpu, "device_type", b"cpu\0");
        tree.set(cpu, "compatible", b"arm,armv8\0");
        tree.set(cpu, "reg", &number.to_be_bytes());
        tree.set(cpu, "enable-method", b"psci\0");
    }
}

fn cases() -> Vec<Case> {
    vec![
        of_loader("no tree at x0", |_, blob| blob.1.clear()),
        of_loader("a tree that is not aligned", |_, blob| blob.0 += 4),
        of_loader("half of a tree", |_, blob| blob.1.truncate(2000)),
        of_tree("memory where the board has none", |tree| {
            let memory = named(tree, "memory");
            tree.set(memory, "reg", &reg(0x4000_0000, 512 << 30));
        }),
        of_tree("a RAM disk over the image", |tree| {
            let modules: Vec<_> = tree.nodes().filter(|node| node.kind() == "module").collect();
            let ramdisk = modules.iter().find(|node| node.is_compatible("multiboot,ramdisk"));
            let ramdisk = ramdisk.expect("the tree has a RAM disk").id();
            tree.set(ramdisk, "reg", &reg(0x4020_0000, 0x1000));
        }),
        of_tree("too many CPUs", add_cpus),
        of_tree("the interrupt controller elsewhere", |tree| {
            let gic = named(tree, "intc");
            tree.set(
                gic,
                "reg",
                &[reg(0x0810_0000, 0x1_0000), reg(0x080a_0000, 0xf6_0000)].concat(),
            );
        }),
        Case {
            trouble: Trouble::GicSleeps,
            ..of_tree("redistributors that do not wake", |_| {})
        },
        Case {
            trouble: Trouble::SmmuHangs,
            ..of_tree("an SMMU that takes no commands", |_| {})
        },
        Case {
            profile: &NARROW,
            ..of_tree("a CPU with 36 address bits", |_| {})
        },
        of_tree("no kernel", |tree| {
            let kernel = tree.nodes().find(|node| node.is_compatible("multiboot,kernel"));
            let kernel = kernel.expect("the tree has a kernel").id();
            tree.set(kernel, "compatible", b"multiboot,module\0");
        }),
        of_loader("a kernel without its magic", |memory, _| memory.write(KERNEL + 56, 0)),
        of_loader("a kernel that wants to be elsewhere", |memory, _| {
            memory.write(KERNEL + 8, 0x8_0000);
        }),
        of_loader("a kernel that needs more than there is", |memory, _| {
            memory.write(KERNEL + 16, 1 << 30);
        }),
        of_tree("a fault policy that is none", |tree| {
            let chosen = node(tree, "/chosen");
            tree.set(chosen, "bootargs", b"leasehold.fault=all=sorcery\0");
        }),
    ]
}

/// Tries all of them on the `virt` machine of `tree`: what is wrong, then the last lines of the log.
///
/// # Errors
/// Where a machine starts all the same, or one that does not says nothing.
pub fn all(tree: &Tree) -> Result<String, String> {
    let mut text = String::new();
    for case in cases() {
        let mut tree = tree.clone();
        (case.tree)(&mut tree);
        let setting = Setting {
            tree,
            profile: case.profile,
            machine: &|loaded, memory, image| {
                let tree = MachineTree::parse(&loaded.blob.1).expect("the loader's tree");
                Machine::qemu_virt(&tree, memory, image, case.trouble)
            },
            spoil: &case.spoil,
        };
        let twin = Twin::<QemuVirt>::boot(setting).map_err(|error| format!("{}: {error}", case.what))?;
        if twin.booted.is_ok() {
            return Err(format!("{}: starts", case.what));
        }
        let last = twin.log.last().ok_or("there is no log")?;
        if !last.starts_with("ERROR EL2 stopped: ") {
            return Err(format!("{}: its last line is {last}", case.what));
        }
        let _ = writeln!(text, "{}", case.what);
        for line in twin.log.iter().filter(|line| line.starts_with("ERROR")) {
            let _ = writeln!(text, "    {line}");
        }
    }
    Ok(text)
}
