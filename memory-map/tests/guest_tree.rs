//! A guest's tree, taken apart by a reader of the tests' own, and by `dtc` where there is one.

mod common;

use common::{Blob, Tree, dtc_warnings, read};
use leasehold_memory_map::{
    Conduit, EnableMethod, GicVersion, GuestConfig, GuestGic, GuestTree, Ipa, IpaRange, MachineTree, WriteError,
};

fn range(start: u64, len: u64) -> IpaRange {
    IpaRange::new(Ipa::new(start), len).unwrap()
}

fn write(config: &GuestConfig<'_>) -> Blob {
    let mut out = vec![0xaa; 4096];
    let len = GuestTree::write(config, &mut out).unwrap();
    assert!(out[len..].iter().all(|byte| *byte == 0xaa));
    Blob::new(&out[..len])
}

const GUEST: GuestConfig<'_> = GuestConfig {
    memory: &[],
    bootargs: "",
    leases: &[],
    gic: None,
};

fn interrupts(tree: &Tree, out: &mut Vec<String>) {
    let about = |(name, _): &&(String, Vec<u8>)| name.contains("interrupt");
    out.extend(
        tree.props
            .iter()
            .filter(about)
            .map(|(name, _)| format!("{}:{name}", tree.name)),
    );
    tree.children.iter().for_each(|child| interrupts(child, out));
}

#[test]
fn the_first_guest() {
    let memory = [range(0x4000_0000, 0x100_0000), range(0x8_0000_0000, 0x20_0000)];
    let config = GuestConfig {
        memory: &memory,
        bootargs: "selftest",
        leases: &[0x1, 0xdead_beef_0123_4567],
        gic: None,
    };
    let blob = write(&config);
    let (reservations, tree) = read(blob.bytes());
    assert!(reservations.is_empty());
    let names: Vec<_> = tree.children.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "chosen",
            "memory@40000000",
            "memory@800000000",
            "cpus",
            "psci",
            "apb-pclk",
            "pl011@9000000",
            "timer",
            "leasehold"
        ]
    );
    assert_eq!(tree.words("#address-cells").unwrap(), [2]);
    assert_eq!(tree.words("#size-cells").unwrap(), [2]);
    assert_eq!(tree.get("compatible").unwrap(), b"leasehold,guest\0linux,dummy-virt\0");
    assert_eq!(tree.at("chosen").unwrap().get("bootargs").unwrap(), b"selftest\0");
    assert_eq!(
        tree.at("chosen").unwrap().get("stdout-path").unwrap(),
        b"/pl011@9000000\0"
    );
    assert_eq!(
        tree.at("memory@40000000").unwrap().words("reg").unwrap(),
        [0, 0x4000_0000, 0, 0x100_0000]
    );
    assert_eq!(
        tree.at("memory@800000000").unwrap().words("reg").unwrap(),
        [8, 0, 0, 0x20_0000]
    );
    let cpu = tree.at("cpus/cpu@0").unwrap();
    assert_eq!(cpu.get("compatible").unwrap(), b"arm,armv8\0");
    assert_eq!(
        (cpu.get("enable-method").unwrap(), cpu.words("reg").unwrap()),
        (&b"psci\0"[..], vec![0])
    );
    let psci = tree.at("psci").unwrap();
    assert_eq!(psci.get("compatible").unwrap(), b"arm,psci-1.0\0arm,psci-0.2\0");
    assert_eq!(psci.get("method").unwrap(), b"hvc\0");
    let uart = tree.at("pl011@9000000").unwrap();
    assert_eq!(uart.get("compatible").unwrap(), b"arm,pl011\0arm,primecell\0");
    assert_eq!(uart.words("reg").unwrap(), [0, 0x0900_0000, 0, 0x1000]);
    let clock = tree.at("apb-pclk").unwrap();
    let phandle = clock.words("phandle").unwrap()[0];
    assert_eq!(uart.words("clocks").unwrap(), [phandle, phandle]);
    assert_eq!(uart.get("clock-names").unwrap(), b"uartclk\0apb_pclk\0");
    assert_eq!(clock.words("clock-frequency").unwrap(), [24_000_000]);
    assert_eq!(
        tree.at("timer").unwrap().get("compatible").unwrap(),
        b"arm,armv8-timer\0arm,armv7-timer\0"
    );
    let leases = tree.at("leasehold").unwrap();
    assert_eq!(leases.children.len(), 2);
    assert_eq!(leases.at("lease@0").unwrap().words("handle").unwrap(), [0, 1]);
    assert_eq!(
        leases.at("lease@1").unwrap().words("handle").unwrap(),
        [0xdead_beef, 0x0123_4567]
    );
    let mut about = Vec::new();
    interrupts(&tree, &mut about);
    assert!(about.is_empty(), "no interrupt controller, no interrupts: {about:?}");
}

#[test]
fn our_own_reader_reads_it() {
    let memory = [range(0x4000_0000, 0x100_0000)];
    for (gic, version) in [
        (None, None),
        (Some(GuestGic::V2), Some(GicVersion::V2)),
        (Some(GuestGic::V3), Some(GicVersion::V3)),
    ] {
        let config = GuestConfig {
            memory: &memory,
            gic,
            ..GUEST
        };
        let blob = write(&config);
        let tree = MachineTree::parse(blob.bytes()).unwrap();
        assert_eq!(
            (tree.memory()[0].start().as_u64(), tree.memory()[0].len()),
            (0x4000_0000, 0x100_0000)
        );
        assert_eq!(
            tree.cpus().iter().map(|cpu| cpu.enable).collect::<Vec<_>>(),
            [EnableMethod::Psci]
        );
        assert_eq!(tree.psci(), Some(Conduit::Hvc));
        assert!(tree.has_timer() && tree.smmus().is_empty());
        assert_eq!(tree.gic().map(|gic| gic.version), version);
        assert_eq!(tree.chosen().unwrap().bootargs, None);
        assert!(tree.stdout().unwrap().unwrap().is("arm,pl011"));
    }
}

#[test]
fn with_a_gic_there_are_interrupts() {
    for (gic, ppi) in [(GuestGic::V2, 0x104), (GuestGic::V3, 4)] {
        let (_, tree) = read(
            write(&GuestConfig {
                gic: Some(gic),
                ..GUEST
            })
            .bytes(),
        );
        let parent = tree.words("interrupt-parent").unwrap();
        assert_eq!(tree.at("intc@8000000").unwrap().words("phandle").unwrap(), parent);
        let timer = tree.at("timer").unwrap().words("interrupts").unwrap();
        assert_eq!(timer, [1, 13, ppi, 1, 14, ppi, 1, 11, ppi, 1, 10, ppi]);
        assert_eq!(
            tree.at("pl011@9000000").unwrap().words("interrupts").unwrap(),
            [0, 1, 4]
        );
    }
}

#[test]
fn dtc_has_nothing_against_it() {
    let memory = [range(0x4000_0000, 0x100_0000), range(0x8000_0000, 0x100_0000)];
    for gic in [None, Some(GuestGic::V2), Some(GuestGic::V3)] {
        let config = GuestConfig {
            memory: &memory,
            bootargs: "x",
            leases: &[1, 2, 3],
            gic,
        };
        match dtc_warnings(write(&config).bytes()) {
            Some(warnings) => assert_eq!(warnings, Vec::<String>::new()),
            None => println!("skipped: no dtc"),
        }
    }
}

#[test]
fn a_buffer_that_is_too_small_is_an_error_at_every_size() {
    let config = GuestConfig {
        leases: &[7; 20],
        gic: Some(GuestGic::V3),
        ..GUEST
    };
    let len = write(&config).bytes().len();
    let mut out = vec![0; len];
    for room in 0..len {
        assert_eq!(
            GuestTree::write(&config, &mut out[..room]),
            Err(WriteError::Space { room })
        );
    }
    assert_eq!(GuestTree::write(&config, &mut out), Ok(len));
}

#[test]
fn the_size_is_as_documented() {
    let len = |memory: usize, leases: usize| {
        let memory = vec![range(0xffff_0000_0000, 0x1000); memory];
        let config = GuestConfig {
            memory: &memory,
            leases: &vec![0; leases],
            gic: Some(GuestGic::V3),
            ..GUEST
        };
        let mut out = vec![0; 64 * 1024];
        GuestTree::write(&config, &mut out).unwrap()
    };
    let empty = len(0, 0);
    assert!(empty < 2048, "{empty}");
    let (range, lease) = ((len(100, 0) - empty) / 100, (len(0, 100) - empty) / 100);
    assert!(range <= 80 && lease <= 64, "{range} {lease}");
}
