//! Who can reach what, by the tables that a machine really has: its memory is read from outside while it is stopped.

mod decoy;

use super::{Context, HOST_DEMO, Needs, Scenario, Verdict};
use crate::gdb::Gdb;
use crate::report::Source;
use crate::walker::{Leaf, Map, PAGE, Physical, Root, Streams};
use object::{Object, ObjectSegment};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const CPUS: u32 = 2;
/// How long a line may take that has been written.
const SOON: Duration = Duration::from_secs(30);
/// Where the host's kernel is entered (`Layout`), and where a guest is.
const HOST_ENTRY: u64 = 0x4400_0000;
const GUEST_ENTRY: u64 = 0x4000_0000;
/// The SMMU of QEMU's `virt` (hw/arm/virt.c, VIRT_SMMU), and its registers (Arm IHI 0070, 6.3).
const SMMU: u64 = 0x0905_0000;
const CR0: u64 = SMMU + 0x20;
const STRTAB_BASE: u64 = SMMU + 0x80;
const STRTAB_BASE_CFG: u64 = SMMU + 0x88;
const CMDQ_BASE: u64 = SMMU + 0x90;
const EVENTQ_BASE: u64 = SMMU + 0xa0;
/// Registers that are EL2's alone: its UART (VIRT_UART1), the SMMU's.
const REGISTERS: [(u64, u64); 2] = [(0x0904_0000, 0x0904_1000), (SMMU, SMMU + 0x2_0000)];
/// The pages that the demo lends: 16 MiB, and five.
const LENT: u64 = 4096 + 5;

pub(super) fn scenarios() -> Vec<Scenario> {
    let kinds = [("blocks", "max,pauth-impdef=on"), ("pages", "cortex-a53")];
    let demo =
        kinds.map(|(name, cpu)| Scenario::new(format!("maps/{name}"), Needs::Board, move |context| walk(context, cpu)));
    let decoys = kinds.map(|(name, cpu)| {
        Scenario::new(format!("maps/decoy/{name}"), Needs::Board, move |context| {
            decoy::walk(context, cpu)
        })
    });
    let revoked = kinds.map(|(name, cpu)| {
        Scenario::new(format!("maps/decoy-revoked/{name}"), Needs::Board, move |context| {
            decoy::revoked(context, cpu)
        })
    });
    demo.into_iter().chain(decoys).chain(revoked).collect()
}

/// Stops the demo when its guest begins, and when all is over.
fn walk(context: &Context<'_>, cpu: &str) -> Verdict {
    let folder = tempfile::tempdir()?;
    let port = folder.path().join("gdb");
    let machine = context.demo_on("release")?.cpu(cpu).smp(CPUS);
    let gdb = format!("unix:{},server=on,wait=off", port.display());
    let mut run = machine.args(["-S", "-no-shutdown", "-gdb", &gdb]).start()?;
    let mut seen = Seen {
        gdb: Gdb::connect(&port)?,
        pages: BTreeMap::new(),
    };
    // Not before the host starts: what QEMU itself starts with lies where a guest's memory begins.
    seen.stop_at(HOST_ENTRY)?;
    let tables = run.wait_for_on(Source::El2, " KiB of tables at ", SOON)?.text;
    let mut kept = el2(&std::fs::read(context.board("release")?.elf)?)?;
    kept.push(pool(&tables).ok_or_else(|| format!("no tables in {tables:?}"))?);
    seen.stop_at(GUEST_ENTRY)?;
    let lent = seen.maps()?;
    let guest = lent.guest.as_ref().ok_or("no CPU is on a guest's tables")?;
    lent.check(&kept)?;
    pages(guest, LENT)?;
    seen.notices(&lent, &kept)?;
    let end = seen.gdb.go_on()?;
    seen.pages.clear();
    let back = seen.maps()?;
    back.check(&kept)?;
    if back.guest.is_some() {
        return Err(format!("at the end ({end}) a CPU is on a guest's tables").into());
    }
    pages(
        &back.host,
        lent.host.leaves.iter().map(|leaf| leaf.length / PAGE).sum::<u64>() + LENT,
    )?;
    // Off is as far as it comes: QEMU keeps it to be looked at.
    run.wait_for_on(Source::El2, "host: system off", SOON)?;
    run.kill().steps().check(&HOST_DEMO)?;
    Ok(())
}

/// Where EL2's image with its stacks lies, by the ELF file.
fn el2(elf: &[u8]) -> Result<Vec<(u64, u64)>> {
    let elf = object::File::parse(elf)?;
    let ends = |part: object::Segment<'_, '_>| (part.address(), part.address() + part.size());
    let (starts, ends): (Vec<_>, Vec<_>) = elf.segments().filter(|part| part.size() > 0).map(ends).unzip();
    let image = starts.into_iter().min().zip(ends.into_iter().max());
    Ok(vec![image.ok_or("EL2's ELF file has no segments")?])
}

/// EL2's memory for tables, by its log: `…, 3584 KiB of tables at 0x402ea000`.
fn pool(line: &str) -> Option<(u64, u64)> {
    let (before, start) = line.split_once(" KiB of tables at 0x")?;
    let length: u64 = before.rsplit(' ').next()?.parse().ok()?;
    let start = u64::from_str_radix(start.trim(), 16).ok()?;
    Some((start, start + (length << 10)))
}

fn pages(map: &Map, wanted: u64) -> Result<()> {
    let count = map.leaves.iter().map(|leaf| leaf.length / PAGE).sum::<u64>();
    if count == wanted {
        return Ok(());
    }
    Err(format!("{count} pages, not {wanted}: {:x?}", map.ranges).into())
}

/// A machine that is looked at while it is stopped.
struct Seen {
    gdb: Gdb,
    /// What was read since it stopped, and what a test makes of it.
    pages: BTreeMap<u64, [u64; 512]>,
}

impl Physical for Seen {
    fn page(&mut self, address: u64) -> std::io::Result<[u64; 512]> {
        if let Some(page) = self.pages.get(&address) {
            return Ok(*page);
        }
        let mut bytes = [0; PAGE as usize];
        self.gdb.read(address, &mut bytes)?;
        let (words, _) = bytes.as_chunks();
        let mut page = [0; 512];
        page.iter_mut()
            .zip(words)
            .for_each(|(word, bytes)| *word = u64::from_le_bytes(*bytes));
        self.pages.insert(address, page);
        Ok(page)
    }
}

impl Seen {
    /// Lets it run until a CPU comes there.
    fn stop_at(&mut self, address: u64) -> Result<()> {
        self.gdb.set_breakpoint(address)?;
        let stop = self.gdb.go_on()?;
        self.gdb.clear_breakpoint(address)?;
        self.pages.clear();
        if stop.starts_with("T05") {
            return Ok(());
        }
        Err(format!("stopped by {stop:?} before {address:#x}").into())
    }

    /// A register of the SMMU's, of 32 or of 64 bits as the architecture has it.
    fn device<const BYTES: usize>(&mut self, register: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.gdb.read(register, &mut bytes[..BYTES])?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// What the SMMU does with each stream.
    fn streams(&mut self) -> Result<Streams> {
        let base = self.device::<8>(STRTAB_BASE)?;
        let config = self.device::<4>(STRTAB_BASE_CFG)?;
        if self.device::<4>(CR0)? & 1 == 0 {
            return Err("the SMMU is off".into());
        }
        Ok(Streams::walk(self, base, config)?)
    }

    /// Walks the tables that the CPUs and the SMMU are on.
    fn maps(&mut self) -> Result<Maps> {
        let streams = self.streams()?;
        let devices = Map::walk(self, only_root(&streams)?)?;
        let (mut hosts, mut guests) = (Vec::new(), Vec::new());
        for root in self.cpu_roots()? {
            let map = Map::walk(self, root)?;
            // Devices are the host's: who reaches just what they reach is the host.
            let side = if map.ranges == devices.ranges {
                &mut hosts
            } else {
                &mut guests
            };
            side.push(map);
        }
        let (host, guest) = (hosts.pop(), guests.pop());
        let host = host.ok_or("no CPU reaches just what devices reach")?;
        if !hosts.is_empty() || !guests.is_empty() {
            return Err("more maps than a host and a guest have".into());
        }
        let queues = [self.device::<8>(CMDQ_BASE)?, self.device::<8>(EVENTQ_BASE)?];
        Ok(Maps {
            host,
            guest,
            devices,
            streams,
            queues,
        })
    }

    /// What the CPUs' tables begin with, each once.
    fn cpu_roots(&mut self) -> Result<BTreeSet<Root>> {
        let mut roots = BTreeSet::new();
        for cpu in 0..CPUS {
            let table = self.gdb.register(cpu, "VTTBR_EL2")?;
            roots.insert(Root::of_cpu(table, self.gdb.register(cpu, "VTCR_EL2")?)?);
            // HCR_EL2.VM.
            if self.gdb.register(cpu, "HCR_EL2")? & 1 == 0 {
                return Err(format!("CPU {cpu} has no stage 2").into());
            }
        }
        Ok(roots)
    }

    /// A test of this test: with one entry that leads where it must not, it is found out.
    fn notices(&mut self, good: &Maps, kept: &[(u64, u64)]) -> Result<()> {
        let guest = good.guest.as_ref().ok_or("no guest")?;
        let page = |map: &Map| {
            map.leaves
                .iter()
                .rfind(|leaf| leaf.length == PAGE)
                .copied()
                .ok_or("no page")
        };
        let (own, lent) = (page(&good.host)?, page(guest)?);
        let table = *guest.tables.first().ok_or("no table")?;
        for target in kept.iter().map(|range| range.0).chain([table]) {
            self.notices_one((own.entry, to(own, target)), "the host reaches EL2's", kept)?;
            self.notices_one((lent.entry, to(lent, target)), "the guest reaches EL2's", kept)?;
        }
        self.notices_one((own.entry, to(own, lent.output)), "both reach", kept)?;
        self.notices_one((lent.entry, to(lent, own.output)), "both reach", kept)?;
        let stream = *good.streams.entries.first().ok_or("no stream")?;
        // V, and Config 0b100: past the SMMU.
        self.notices_one((stream, (!0, 0b1001)), "streams that nothing contains", kept)
    }

    /// Fails unless it is found out, with this word, when the entry there loses and gets some bits.
    fn notices_one(&mut self, (at, (lost, got)): (u64, (u64, u64)), word: &str, kept: &[(u64, u64)]) -> Result<()> {
        let page = at & !(PAGE - 1);
        let before = self.page(page)?;
        let mut after = before;
        let entry = &mut after[(at - page) as usize / 8];
        *entry = *entry & !lost | got;
        self.pages.insert(page, after);
        let found = self.maps().and_then(|maps| maps.check(kept));
        self.pages.insert(page, before);
        match found {
            Err(error) if error.to_string().contains(word) => Ok(()),
            other => Err(format!("an entry at {at:#x} with {got:#x} in it is not told as {word:?}: {other:?}").into()),
        }
    }
}

/// The one map that devices are on.
fn only_root(streams: &Streams) -> Result<Root> {
    match streams.roots.iter().copied().collect::<Vec<_>>()[..] {
        [root] => Ok(root),
        _ => Err(format!("streams are on other than one map: {:x?}", streams.roots).into()),
    }
}

/// The bits that an entry loses and gets to lead to `target`.
fn to(leaf: Leaf, target: u64) -> (u64, u64) {
    (leaf.output, target)
}

/// What the tables come to.
struct Maps {
    host: Map,
    guest: Option<Map>,
    devices: Map,
    streams: Streams,
    /// SMMU_CMDQ_BASE and SMMU_EVENTQ_BASE.
    queues: [u64; 2],
}

impl Maps {
    /// Nobody reaches what is EL2's, nobody reaches what is another's.
    fn check(&self, kept: &[(u64, u64)]) -> Result<()> {
        if !self.streams.loose.is_empty() || self.streams.translated == 0 {
            return Err(format!("streams that nothing contains: {:x?}", self.streams.loose).into());
        }
        let named = [
            ("the host", Some(&self.host)),
            ("the guest", self.guest.as_ref()),
            ("a device", Some(&self.devices)),
        ];
        let named: Vec<_> = named.into_iter().filter_map(|(name, map)| Some((name, map?))).collect();
        let own = self.own_pages().into_iter().map(|page| (page, page + PAGE));
        for (start, end) in kept.iter().copied().chain(own).chain(REGISTERS) {
            for (name, map) in &named {
                if let Some(leaf) = map.reaches(start, end) {
                    return Err(format!("{name} reaches EL2's {start:#x} to {end:#x} by {leaf:x?}").into());
                }
            }
        }
        if let Some(leaf) = self.guest.as_ref().and_then(|guest| guest.shares(&self.host)) {
            return Err(format!("the host and the guest: both reach {leaf:x?}").into());
        }
        match self.host.leaves.iter().find(|leaf| leaf.input != leaf.output) {
            None => Ok(()),
            Some(leaf) => Err(format!("the host's memory is not where it should be: {leaf:x?}").into()),
        }
    }

    /// The pages that hardware is made to read or write for EL2.
    fn own_pages(&self) -> BTreeSet<u64> {
        let maps = [Some(&self.host), self.guest.as_ref(), Some(&self.devices)];
        let tables = maps.into_iter().flatten().flat_map(|map| &map.tables);
        // 6.3: the address in bits 51 to 5. Of each queue its first page stands for all.
        let queues = self.queues.map(|base| base & ((1 << 52) - 1) & !(PAGE - 1));
        tables.chain(&self.streams.tables).copied().chain(queues).collect()
    }
}
