//! Who can reach what while an access of the host's is served on other memory.

use super::{HOST_ENTRY, Result, SOON, Seen, el2, only_root};
use crate::gdb::Gdb;
use crate::report::Source;
use crate::scenarios::{Context, Verdict};
use crate::walker::{Map, PAGE, Physical, Root};
use object::{Object, ObjectSymbol};
use std::collections::{BTreeMap, BTreeSet};

/// Where EL2 goes into a step, which is the way that it goes into a guest; this host has none.
const ENTER: &str = "lh_enter_guest";
/// How many steps are looked at.
const STEPS: usize = 2;

/// Input and output address, and length, of all that a map leads to.
type Ways = BTreeSet<(u64, u64, u64)>;

fn ways(map: &Map) -> Ways {
    map.leaves
        .iter()
        .map(|leaf| (leaf.input, leaf.output, leaf.length))
        .collect()
}

/// Stops a host at each of its first steps, and when all is over.
pub(super) fn walk(context: &Context<'_>, cpu: &str) -> Verdict {
    let folder = tempfile::tempdir()?;
    let port = folder.path().join("gdb");
    let elf = std::fs::read(context.board("release")?.elf)?;
    let kept = el2(&elf)?;
    let machine = context.testhost("stepped")?.cpu(cpu).smp(1);
    let machine = machine.el2_arg("leasehold.fault=all=decoy");
    let gdb = format!("unix:{},server=on,wait=off", port.display());
    let mut run = machine.args(["-S", "-no-shutdown", "-gdb", &gdb]).start()?;
    let mut seen = Seen {
        gdb: Gdb::connect(&port)?,
        pages: BTreeMap::new(),
    };
    seen.stop_at(HOST_ENTRY)?;
    let whole = seen.of_devices()?.ranges;
    let enter = symbol(&elf, ENTER)?;
    for _ in 0..STEPS {
        seen.stop_at(enter)?;
        let page = seen.during_step(&whole, &kept)?;
        seen.notices_shared(page, &whole, &kept)?;
    }
    let end = seen.gdb.go_on()?;
    seen.pages.clear();
    if seen.of_devices()?.ranges != whole {
        return Err(format!("at the end ({end}) the host's map is not what it was").into());
    }
    run.wait_for_on(Source::El2, "host: system off", SOON)?;
    run.kill().steps().check(&["leasehold is there", "debugged"])?;
    Ok(())
}

fn symbol(elf: &[u8], name: &str) -> Result<u64> {
    let file = object::File::parse(elf)?;
    let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
    Ok(found.ok_or_else(|| format!("no symbol {name}"))?.address())
}

/// The page that a decoy is for, and the one that it leads to.
#[derive(Clone, Copy, Debug)]
struct Decoy {
    page: u64,
    scratch: u64,
}

impl Seen {
    /// The host's map, which devices are on.
    fn of_devices(&mut self) -> Result<Map> {
        let streams = self.streams()?;
        Ok(Map::walk(self, only_root(&streams)?)?)
    }

    /// The CPU is on tables of its own, which lead where the host's do, and besides one page of what is lent to a page of
    /// EL2's, which is of zeroes. The host's tables lead nowhere but where they always did, and not to what is lent.
    fn during_step(&mut self, whole: &[(u64, u64)], kept: &[(u64, u64)]) -> Result<Decoy> {
        let devices = self.of_devices()?;
        let table = self.gdb.register(0, "VTTBR_EL2")?;
        let root = Root::of_cpu(table, self.gdb.register(0, "VTCR_EL2")?)?;
        let streams = self.streams()?;
        if root == only_root(&streams)? {
            return Err("the CPU is on the host's tables".into());
        }
        let own = Map::walk(self, root)?;
        let (theirs, its) = (ways(&devices), ways(&own));
        let more: Vec<_> = its.difference(&theirs).copied().collect();
        let [(page, scratch, PAGE)] = more[..] else {
            return Err(format!("its tables lead elsewhere to {more:x?}").into());
        };
        if !theirs.is_subset(&its) {
            return Err("its tables do not lead to all that is the host's".into());
        }
        let is_in = |ranges: &[(u64, u64)], at: u64| ranges.iter().any(|(start, end)| (*start..*end).contains(&at));
        if !is_in(kept, scratch) || self.page(scratch)?.iter().any(|word| *word != 0) {
            return Err(format!("{page:#x} leads to {scratch:#x}, which is no page of zeroes of EL2's").into());
        }
        if is_in(&devices.ranges, page) || !is_in(whole, page) {
            return Err(format!("{page:#x} is not lent").into());
        }
        let beyond = devices.leaves.iter().find(|leaf| !is_in(whole, leaf.output));
        match beyond {
            None => Ok(Decoy { page, scratch }),
            Some(leaf) => Err(format!("the host's tables lead to {leaf:x?}").into()),
        }
    }

    /// A test of this test: were the scratch page in the host's tables, it would be found out.
    fn notices_shared(&mut self, decoy: Decoy, whole: &[(u64, u64)], kept: &[(u64, u64)]) -> Result<()> {
        let devices = self.of_devices()?;
        let before = devices
            .leaves
            .iter()
            .find(|leaf| leaf.input + PAGE == decoy.page && leaf.length == PAGE);
        let before = before.ok_or("the page before what is lent is no page")?;
        let (entry, table) = (before.entry + 8, before.entry & !(PAGE - 1));
        let is = self.page(table)?;
        let mut shared = is;
        let attributes = shared[(before.entry - table) as usize / 8] & !before.output;
        shared[(entry - table) as usize / 8] = attributes | decoy.scratch;
        self.pages.insert(table, shared);
        let found = self.during_step(whole, kept);
        self.pages.insert(table, is);
        match found {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("the scratch page at {entry:#x} in the host's tables is not found out").into()),
        }
    }
}
