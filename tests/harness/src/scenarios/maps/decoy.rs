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

/// As many calls are waited for at most until there is a lend among them.
const CALLS: u32 = 8;

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

/// Holds a CPU at its step, while another lends a page that is none of that step's: the lend does not wait, and when it is
/// done the held CPU's tables lead to that page no more.
pub(super) fn revoked(context: &Context<'_>, cpu: &str) -> Verdict {
    let folder = tempfile::tempdir()?;
    let port = folder.path().join("gdb");
    let elf = std::fs::read(context.board("release")?.elf)?;
    let host = std::fs::read(context.guest("testhost")?.with_extension("elf"))?;
    let machine = context.testhost("revoked")?.cpu(cpu).smp(2);
    let machine = machine.el2_arg("leasehold.fault=all=decoy");
    let gdb = format!("unix:{},server=on,wait=off", port.display());
    let mut run = machine.args(["-S", "-no-shutdown", "-gdb", &gdb]).start()?;
    let mut seen = Seen {
        gdb: Gdb::connect(&port)?,
        pages: BTreeMap::new(),
    };
    seen.stop_at(HOST_ENTRY)?;
    seen.stop_at(symbol(&elf, ENTER)?)?;
    // The one that is served is the second; the first lends.
    let mut before = seen.of_devices()?.ranges;
    if seen.of_cpu(1)?.ranges == before {
        return Err("the CPU is not at a step".into());
    }
    // The call, and what is behind it; the host is linked at 0.
    let call = HOST_ENTRY + symbol(&host, "lh_hvc_at")?;
    let mut calls = 0;
    let lent = loop {
        seen.stop_alone_at(0, call + 4)?;
        let now = seen.of_devices()?.ranges;
        if length(&now) < length(&before) {
            break now;
        }
        before = now;
        calls += 1;
        if calls == CALLS {
            return Err(format!("no lend among {calls} calls").into());
        }
        seen.stop_alone_at(0, call)?;
    };
    let own = seen.of_cpu(1)?;
    if let Some(leaf) = own.leaves.iter().find(|leaf| !is_in(&lent, leaf.output)) {
        return Err(format!("after {calls} calls the step's tables still lead to {leaf:x?}").into());
    }
    seen.gdb.go_on()?;
    run.wait_for_on(Source::El2, "host: system off", SOON)?;
    run.kill().steps().check(&["leasehold is there", "served meanwhile"])?;
    Ok(())
}

fn length(ranges: &[(u64, u64)]) -> u64 {
    ranges.iter().map(|(start, end)| end - start).sum()
}

fn is_in(ranges: &[(u64, u64)], at: u64) -> bool {
    ranges.iter().any(|(start, end)| (*start..*end).contains(&at))
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

    /// Lets one CPU run until it comes there, and holds the others.
    fn stop_alone_at(&mut self, cpu: u32, address: u64) -> Result<()> {
        self.gdb.set_breakpoint(address)?;
        let stop = self.gdb.go_on_alone(cpu)?;
        self.gdb.clear_breakpoint(address)?;
        self.pages.clear();
        match stop.starts_with("T05") {
            true => Ok(()),
            false => Err(format!("stopped by {stop:?} before {address:#x}").into()),
        }
    }

    fn root_of(&mut self, cpu: u32) -> Result<Root> {
        let table = self.gdb.register(cpu, "VTTBR_EL2")?;
        Ok(Root::of_cpu(table, self.gdb.register(cpu, "VTCR_EL2")?)?)
    }

    /// What that CPU's tables lead to.
    fn of_cpu(&mut self, cpu: u32) -> Result<Map> {
        let root = self.root_of(cpu)?;
        Ok(Map::walk(self, root)?)
    }

    /// The CPU is on tables of its own, which lead where the host's do, and besides one page of what is lent to a page of
    /// EL2's, which is of zeroes. The host's tables lead nowhere but where they always did, and not to what is lent.
    fn during_step(&mut self, whole: &[(u64, u64)], kept: &[(u64, u64)]) -> Result<Decoy> {
        let devices = self.of_devices()?;
        let root = self.root_of(0)?;
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
