//! The trees of real boards, as Debian's kernel packages have them.
//!
//! They are not ours to keep here (GPL-2.0). `LEASEHOLD_TREES` names the folders, one for each kernel, with colons
//! between; `cargo xtask test` fetches them and sets it. Without it what needs them is skipped, and says so; `none` has no
//! such tests at all, for a run that others do.

mod common;

use common::{BOARD, Blob, Tree, dtc_warnings, range, read};
use leasehold_memory_map::{Conduit, GicVersion, HostTree, MachineTree, MemoryMap, PhysAddr, PhysRange, RegionKind};
use libtest_mimic::{Arguments, Completion, Trial};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const VARIABLE: &str = "LEASEHOLD_TREES";

/// A test of one kernel's trees, and whether boards that came after Linux 6.1 are in it.
type Test = (&'static str, bool, fn(&Path));
const TESTS: [Test; 3] = [
    ("every_tree_is_read", false, every_tree_is_read),
    ("rb3_gen_2", true, rb3_gen_2),
    ("dragonboard_410c", false, dragonboard_410c),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let folders = std::env::var_os(VARIABLE).unwrap_or_default();
    let trials = if folders == "none" {
        Vec::new()
    } else if folders.is_empty() {
        let skipped = |(name, ..): Test| {
            let reason = "needs the trees of `cargo xtask test`";
            Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)))
        };
        TESTS.map(skipped).into()
    } else {
        std::env::split_paths(&folders)
            .flat_map(|folder| trials(&folder))
            .collect()
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(folder: &Path) -> Vec<Trial> {
    let kernel = folder.file_name().unwrap().to_string_lossy().into_owned();
    let has_all = !kernel.starts_with("6.1.");
    let trial = |(name, newer, test): &Test| {
        let (folder, test): (PathBuf, fn(&Path)) = (folder.join("qcom"), *test);
        (has_all || !newer).then(|| {
            Trial::test(format!("{kernel}::{name}"), move || {
                test(&folder);
                Ok(())
            })
        })
    };
    TESTS.iter().filter_map(trial).collect()
}

/// The tree of a board with its memory filled in, as the boot loader does.
fn filled(blob: &[u8], ranges: &[(u64, u64)]) -> Blob {
    let (reservations, mut tree) = read(blob);
    let cells = tree.words("#size-cells").unwrap()[0];
    let memory = tree
        .children
        .iter_mut()
        .find(|node| node.get("device_type") == Some(b"memory\0"))
        .unwrap();
    memory.props.retain(|(name, _)| name != "reg");
    let filled = Tree {
        props: memory.props.clone(),
        ..Tree::new(&memory.name)
    };
    assert_eq!(cells, 2);
    *memory = filled.ranges("reg", ranges);
    tree.blob_with(&reservations)
}

fn every_tree_is_read(folder: &Path) {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "dtb") {
            continue;
        }
        let blob = Blob::new(&std::fs::read(&path).unwrap());
        let tree = MachineTree::parse(blob.bytes()).unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
        let name = path.file_name().unwrap().to_str().unwrap();
        // Boards whose loader starts CPUs itself have no PSCI; the few with a hypervisor's have an HVC.
        if tree.psci() == Some(Conduit::Smc) {
            assert!(
                tree.has_timer() && tree.gic().is_some() && !tree.cpus().is_empty(),
                "{name}"
            );
            count += 1;
        }
    }
    println!("{count} trees with PSCI by SMC");
    assert!(count > 100);
}

fn rb3_gen_2(folder: &Path) {
    let source = std::fs::read(folder.join("qcs6490-rb3gen2.dtb")).unwrap();
    let blob = Blob::new(&source);
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    assert!(tree.is_machine("qcom,qcs6490-rb3gen2"));
    assert!(tree.memory().is_empty(), "the boot loader fills it in");
    let (_, root) = read(&source);
    let reserved = &root.at("/reserved-memory").unwrap().children;
    let ranges = reserved.iter().filter(|node| node.get("reg").is_some()).count();
    assert!(ranges >= 26 && tree.reserved().len() == ranges);
    let affinities: Vec<_> = tree.cpus().iter().map(|cpu| cpu.affinity).collect();
    assert_eq!(affinities, [0, 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700]);
    let gic = tree.gic().unwrap();
    assert_eq!(
        (gic.version, gic.ranges[0], gic.ranges[1]),
        (
            GicVersion::V3,
            range(0x17a0_0000, 0x1_0000),
            range(0x17a6_0000, 0x10_0000)
        )
    );
    let stdout = tree.stdout().unwrap().unwrap();
    assert_eq!(
        (stdout.path, stdout.options),
        ("/soc@0/geniqup@9c0000/serial@994000", Some("115200n8"))
    );
    assert_eq!(stdout.registers.unwrap().start(), PhysAddr::new(0x0099_4000));

    let blob = filled(&source, &[(0x8000_0000, 0x3a80_0000), (0xc000_0000, 0x1_4000_0000)]);
    whole_way(&blob, range(0x8000_0000, 0x60_0000));
}

fn dragonboard_410c(folder: &Path) {
    let source = std::fs::read(folder.join("apq8016-sbc.dtb")).unwrap();
    let blob = Blob::new(&source);
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let gic = tree.gic().unwrap();
    assert_eq!(
        (gic.version, gic.ranges[0], gic.ranges.len()),
        (GicVersion::V2, range(0x0b00_0000, 0x1000), 4)
    );
    assert_eq!(
        tree.stdout().unwrap().unwrap().registers,
        Some(range(0x078b_0000, 0x200))
    );

    let blob = filled(&source, &[(0x8000_0000, 0x4000_0000)]);
    whole_way(&blob, range(0x8640_0000, 0x10_0000));
}

/// Map, hypervisor in the range that the tree keeps for one, host's tree, and that read again.
fn whole_way(blob: &Blob, hypervisor: PhysRange) {
    let tree = MachineTree::parse(blob.bytes()).unwrap();
    let mut map = MemoryMap::new(&tree, &BOARD, range(0x9f80_0000, blob.bytes().len() as u64)).unwrap();
    map.carve(hypervisor, RegionKind::Hypervisor).unwrap();
    let tables = map.find_free(0x20_0000, 0x20_0000).unwrap();
    map.carve(tables, RegionKind::Hypervisor).unwrap();
    let host = HostTree {
        map: &map,
        kept: &[],
        bootargs: "console=ttyMSM0",
        ramdisk: None,
        extra: &[],
    };
    let mut out = Blob::new(&vec![0; blob.bytes().len() + 1024]);
    let len = host.write(&tree, out.bytes_mut()).unwrap();
    let out = Blob::new(&out.bytes()[..len]);
    let again = MachineTree::parse(out.bytes()).unwrap();
    assert!(
        again
            .memory()
            .iter()
            .all(|range| !range.overlaps(&hypervisor) && !range.overlaps(&tables))
    );
    let kept: u64 = hypervisor.len() + tables.len();
    let sum = |tree: &MachineTree<'_>| tree.memory().iter().map(PhysRange::len).sum::<u64>();
    assert_eq!(sum(&again) + kept, sum(&tree));
    assert_eq!(again.reserved(), tree.reserved());
    assert_eq!(again.cpus(), tree.cpus());
    match (dtc_warnings(blob.bytes()), dtc_warnings(out.bytes())) {
        (Some(before), Some(after)) => {
            let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
            assert!(new.is_empty(), "{new:#?}");
        }
        _ => println!("skipped: no dtc"),
    }
}
