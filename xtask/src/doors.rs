//! Which way the doors open: for each package of the workspace, the packages of the workspace that it may depend on.
//! It is the table of `docs/architecture.md`, as code.

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Metadata, Package};
use std::path::Path;

/// What a package is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The build machine, and bare metal: `no_std`.
    Anywhere,
    /// Bare metal alone.
    Bare,
    /// The build machine.
    Machine,
    /// A Linux host.
    Linux,
}

/// A package, or a kind of packages, and where its doors lead.
struct Room {
    name: &'static str,
    target: Target,
    doors: &'static [&'static str],
}

const fn room(name: &'static str, target: Target, doors: &'static [&'static str]) -> Room {
    Room { name, target, doors }
}

const ABI: &str = "leasehold-abi";
const BOARDS: &str = "leasehold-boards";
const DRIVERS: &str = "leasehold-drivers";
const FDT: &str = "leasehold-fdt";
const FLASH: &str = "leasehold-flash";
const GUESTS: &str = "leasehold-guests";
const HAL: &str = "leasehold-hal";
const HYP_CORE: &str = "leasehold-hyp-core";
const MEMORY_MAP: &str = "leasehold-memory-map";
const SOC: &str = "leasehold-soc";
const TESTS: &str = "leasehold-tests";
const TREES: &str = "leasehold-trees";
const TWIN: &str = "leasehold-twin";

const ROOMS: &[Room] = &[
    room(ABI, Target::Anywhere, &[]),
    room(FDT, Target::Anywhere, &[]),
    room(MEMORY_MAP, Target::Anywhere, &[FDT]),
    room(HAL, Target::Anywhere, &[MEMORY_MAP, ABI]),
    room(DRIVERS, Target::Anywhere, &[HAL, MEMORY_MAP, ABI]),
    room(HYP_CORE, Target::Anywhere, &[HAL, MEMORY_MAP, ABI]),
    room(SOC, Target::Anywhere, &[DRIVERS, HAL, MEMORY_MAP, ABI]),
    // What others than the hypervisor do with the drivers.
    room("leasehold-examples", Target::Anywhere, &[SOC, DRIVERS, MEMORY_MAP]),
    // Inside QEMU: it knows marks and addresses alone.
    room("leasehold-count-plugin", Target::Machine, &[]),
    // What tests from outside shares numbers with the tested, no code.
    room(GUESTS, Target::Bare, &[ABI]),
    // The other way round: drivers on real units, without Leasehold.
    room(
        "leasehold-units",
        Target::Bare,
        &[GUESTS, DRIVERS, HAL, MEMORY_MAP, ABI],
    ),
    room("leasectl", Target::Linux, &[ABI]),
    room(FLASH, Target::Machine, &[MEMORY_MAP, ABI]),
    room(TESTS, Target::Machine, &[FLASH, MEMORY_MAP, ABI]),
    // What the boards are made of. It is one of them for nobody.
    room(BOARDS, Target::Anywhere, &[SOC, HYP_CORE, HAL, MEMORY_MAP, ABI]),
    // It holds descriptions against device trees.
    room(TREES, Target::Machine, &[BOARDS, SOC, DRIVERS, HAL, MEMORY_MAP, FDT]),
    // It is EL2 on the build machine, on models: it sees what a board sees, and what looks at it from outside.
    room(
        TWIN,
        Target::Machine,
        &[
            TREES, TESTS, FLASH, BOARDS, HYP_CORE, SOC, DRIVERS, HAL, MEMORY_MAP, FDT, ABI,
        ],
    ),
    // It reads a fault policy as EL2 does, so that a wrong one is told before anything is built.
    room(
        "xtask",
        Target::Machine,
        &[TREES, BOARDS, TESTS, FLASH, HYP_CORE, MEMORY_MAP, ABI],
    ),
];

/// Every folder of `boards/` but the common one.
const BOARD: Room = room(
    "boards",
    Target::Bare,
    &[BOARDS, SOC, HYP_CORE, DRIVERS, HAL, MEMORY_MAP, ABI],
);

/// What the doors need to know of a package.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    pub name: String,
    pub board: bool,
    /// The packages of the workspace that it depends on, for its build script too.
    pub depends: Vec<String>,
    /// Those that only its tests depend on.
    pub tests_depend: Vec<String>,
    /// Whether it has the feature that adds the log macros.
    pub logs: bool,
}

impl Crate {
    /// Reads the workspace's packages from what `cargo metadata` says.
    pub fn all(metadata: &Metadata) -> Vec<Crate> {
        let boards = metadata.workspace_root.join("boards");
        let packages = metadata.workspace_packages();
        let is_ours = |name: &str| packages.iter().any(|package| package.name == name);
        let depends = |package: &Package, tests: bool| {
            let doors = package
                .dependencies
                .iter()
                .filter(|door| (door.kind == DependencyKind::Development) == tests);
            doors
                .map(|door| door.name.clone())
                .filter(|name| is_ours(name))
                .collect()
        };
        let read = |package: &&Package| Crate {
            name: package.name.to_string(),
            board: package.manifest_path.as_std_path().starts_with(Path::new(&boards)),
            depends: depends(package, false),
            tests_depend: depends(package, true),
            logs: package.features.contains_key("defmt"),
        };
        packages.iter().map(read).collect()
    }

    /// What it is built for.
    ///
    /// # Errors
    /// When [`ROOMS`] does not know the package.
    pub fn target(&self) -> Result<Target> {
        self.room().map(|room| room.target)
    }

    fn room(&self) -> Result<&'static Room> {
        let board = self.board.then_some(&BOARD);
        let found = ROOMS.iter().find(|room| room.name == self.name).or(board);
        match found {
            Some(room) => Ok(room),
            None => bail!(
                "{} is in no room: say in xtask/src/doors.rs what it may depend on",
                self.name
            ),
        }
    }
}

/// Checks every door. Returns a line for each that opens the wrong way.
pub(crate) fn check(crates: &[Crate]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in crates {
        match package.room() {
            Err(error) => wrong.push(error.to_string()),
            Ok(room) => wrong.extend(package.wrong_doors(room)),
        }
    }
    wrong
}

impl Crate {
    fn wrong_doors(&self, room: &Room) -> impl Iterator<Item = String> {
        let beyond = beyond(room);
        let name = &self.name;
        let refuse = move |door: &String, may: &[&str]| {
            let may = if may.is_empty() {
                "nothing of ours".into()
            } else {
                may.join(", ")
            };
            format!("{name} must not depend on {door}: it may depend on {may}")
        };
        let code = self.depends.iter().filter(|door| !room.doors.contains(&door.as_str()));
        let code: Vec<String> = code.map(|door| refuse(door, room.doors)).collect();
        let tests = self.tests_depend.iter().filter(|door| !beyond.contains(&door.as_str()));
        let tests: Vec<String> = tests.map(|door| refuse(door, &beyond)).collect();
        code.into_iter().chain(tests)
    }
}

/// Where a room's doors lead in the end: a test may go there directly.
fn beyond(room: &Room) -> Vec<&'static str> {
    let mut found = room.doors.to_vec();
    let mut next = 0;
    while let Some(name) = found.get(next) {
        let further = ROOMS
            .iter()
            .find(|room| room.name == *name)
            .map_or(&[][..], |room| room.doors);
        let new: Vec<&str> = further.iter().filter(|door| !found.contains(door)).copied().collect();
        found.extend(new);
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_up(name: &str, depends: &[&str]) -> Crate {
        let depends = depends.iter().map(|name| name.to_string()).collect();
        Crate {
            name: name.into(),
            board: false,
            depends,
            tests_depend: vec![],
            logs: false,
        }
    }

    #[test]
    fn the_design_passes() {
        let board = Crate {
            board: true,
            ..made_up("leasehold-qemu-virt", &[HYP_CORE, SOC, DRIVERS, HAL])
        };
        let crates = [
            made_up(ABI, &[]),
            made_up(HAL, &[MEMORY_MAP, ABI]),
            made_up(HYP_CORE, &[HAL, MEMORY_MAP, ABI]),
            board,
        ];
        assert_eq!(check(&crates), Vec::<String>::new());
    }

    #[test]
    fn a_door_that_opens_the_wrong_way_is_found() {
        let wrong = [
            (MEMORY_MAP, ABI),
            (ABI, MEMORY_MAP),
            (HAL, DRIVERS),
            (DRIVERS, HYP_CORE),
            (HYP_CORE, DRIVERS),
            (SOC, HYP_CORE),
            (HYP_CORE, "xtask"),
            (DRIVERS, FLASH),
            ("leasehold-guests", HYP_CORE),
            ("leasectl", HAL),
        ];
        for (from, to) in wrong {
            let found = check(&[made_up(HAL, &[MEMORY_MAP]), made_up(from, &[to])]);
            assert_eq!(found.len(), 1, "{from} to {to}");
            assert!(
                found[0].contains(&format!("{from} must not depend on {to}")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn tests_may_go_where_the_doors_lead_in_the_end_and_no_further() {
        let tests = |name, door: &str| Crate {
            tests_depend: vec![door.into()],
            ..made_up(name, &[])
        };
        assert_eq!(check(&[tests(SOC, FDT), tests(HYP_CORE, FDT)]), Vec::<String>::new());
        assert_eq!(check(&[made_up(SOC, &[FDT])]).len(), 1);
        assert_eq!(check(&[tests(HYP_CORE, DRIVERS)]).len(), 1);
        assert_eq!(check(&[tests(ABI, MEMORY_MAP)]).len(), 1);
    }

    #[test]
    fn a_package_that_nobody_placed_is_found() {
        let found = check(&[made_up("leasehold-attic", &[])]);
        assert!(found[0].contains("leasehold-attic is in no room"), "{found:?}");
        // Only what lies in boards/ is a board.
        assert_eq!(
            check(&[Crate {
                board: true,
                ..made_up("leasehold-attic", &[])
            }]),
            Vec::<String>::new()
        );
    }
}
