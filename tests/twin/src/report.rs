//! What a boot has come to, as text for people.

use crate::lease::tried;
use crate::machine::{Unit, UnitModel};
use crate::text;
use crate::twin::Twin;
use leasehold_drivers::smmu::v2::Streams;
use leasehold_hal::{InterruptController, Soc};
use leasehold_hyp_core::board::Board;
use leasehold_hyp_core::boot::Booted;
use leasehold_memory_map::{Address, PhysRange};
use leasehold_trees::Tree;
use std::fmt::Write as _;

/// The golden files of a board.
pub struct Reports {
    /// `log.txt`.
    pub log: String,
    /// `map.txt`.
    pub map: String,
    /// `host-tree.txt`.
    pub tree: String,
}

/// Boots a board, checks who reaches what before and after a lease, and writes everything down.
///
/// # Errors
/// What is wrong.
pub fn reports<B: Board>(mut twin: Twin<B>, source: &str) -> Result<Reports, String> {
    let log = twin.log.iter().fold(String::new(), |text, line| text + line + "\n");
    if let Err(error) = &twin.booted {
        return Err(format!("does not boot: {error:?}\n{log}"));
    }
    let hosts = twin.hosts();
    let reach = twin.check_reach(&hosts)?;
    let mut map = head(&twin, source);
    map.push_str(&ranges(&twin)?);
    let _ = writeln!(map, "Reach checked at the host's entry\n  {}", tried(reach));
    let tree = host_tree(&twin)?;
    map.push_str("\nLent to a guest, one after the other, and taken back\n");
    map.push_str(&twin.lend_and_reclaim()?);
    twin.stop_masters();
    Ok(Reports { log, map, tree })
}

fn booted<B: Board>(twin: &Twin<B>) -> Result<&Booted<B>, String> {
    twin.booted.as_ref().map_err(|error| format!("{error:?}"))
}

fn head<B: Board>(twin: &Twin<B>, source: &str) -> String {
    let mut text = String::new();
    let profile = twin.platform.profile;
    let _ = writeln!(text, "{} on {source}", B::CONFIG.name);
    let _ = writeln!(
        text,
        "Figures of the twin's, not of the board's: boot CPU with {} address bits and break-before-make level {} ({}); {} KiB of image",
        profile.physical_bits,
        profile.bbm_level,
        profile.source,
        twin.platform.image.len() >> 10,
    );
    if twin.loaded.filled {
        let _ = writeln!(
            text,
            "RAM is a figure of the twin's too, {} MiB in one piece: the tree leaves it to the loader",
            profile.ram >> 20
        );
    }
    text
}

fn line(text: &mut String, range: PhysRange, what: impl std::fmt::Display) {
    let _ = writeln!(
        text,
        "  {:#012x}-{:#012x}  {what}",
        range.start().get(),
        range.end().get()
    );
}

fn ranges<B: Board>(twin: &Twin<B>) -> Result<String, String> {
    let booted = booted(twin)?;
    let mut text = String::from("\nMemory\n");
    for region in booted.map.regions() {
        line(&mut text, region.range, format_args!("{:?}", region.kind));
    }
    text.push_str("\nDevices that the host sees\n");
    for range in booted.soc.device_windows() {
        line(&mut text, *range, "");
    }
    text.push_str("\nDevices that nobody sees\n");
    for range in booted.soc.hidden() {
        line(&mut text, *range, "");
    }
    if !booted.interrupts.trapped_frames().is_empty() {
        text.push_str("\nDevices whose accesses EL2 answers\n");
        for range in booted.interrupts.trapped_frames() {
            line(&mut text, *range, "");
        }
    }
    let walked = twin.cpus_reach()?;
    let geometry = booted.stage2.geometry;
    let _ = writeln!(
        text,
        "\nThe host's tables, walked: {} bits, root at {:#x}, {} tables, {} leaves",
        geometry.ipa_bits(),
        booted.stage2.root.get(),
        walked.tables.len(),
        walked.leaves.len(),
    );
    for (start, end) in &walked.ranges {
        let _ = writeln!(text, "  {start:#012x}-{end:#012x}");
    }
    for unit in &twin.machine.units {
        text.push_str(&streams(unit));
    }
    let _ = writeln!(text, "\nMasters that no SMMU contains: {:?}", booted.containment);
    for master in B::CONFIG.uncontained_masters {
        let _ = writeln!(text, "  {master}");
    }
    let _ = writeln!(
        text,
        "\nThe host's entry {:#x}, its tree {:#x}\n",
        booted.host.entry.get(),
        booted.host.tree.get(),
    );
    Ok(text)
}

fn streams(unit: &Unit) -> String {
    let mut text = String::new();
    let kind = match unit.model {
        Some(UnitModel::V2(_)) => "SMMUv2: these streams are on the host's tables, all others are refused",
        Some(UnitModel::V3(_)) => "SMMUv3: all streams are on the host's tables",
        None => "not EL2's: its masters are not contained, or withheld",
    };
    let at = unit
        .registers
        .map_or(String::new(), |range| format!(" at {:#x}", range.start().get()));
    let _ = writeln!(text, "\nSMMU {}{at}, {kind}", unit.name);
    for master in &unit.masters {
        let streams: Vec<_> = master.streams.iter().map(|streams| group(*streams)).collect();
        let _ = writeln!(text, "  {:<20} {}", master.name, streams.join(" "));
    }
    text
}

fn group(streams: Streams) -> String {
    match streams.mask {
        0 => format!("{:#x}", streams.id),
        mask => format!("{:#x}/{mask:#x}", streams.id),
    }
}

/// What the host's tree differs in from the loader's.
fn host_tree<B: Board>(twin: &Twin<B>) -> Result<String, String> {
    let booted = booted(twin)?;
    let at = booted.host.tree.get();
    let memory = &twin.platform.memory;
    let header = crate::platform::read_bytes(memory, at, 8);
    let len = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    let blob = crate::platform::read_bytes(memory, at, len);
    let tree = Tree::read(&blob).map_err(|error| format!("the host's tree: {error:?}"))?;
    let changes = text::changes(&twin.loaded.tree, &tree);
    Ok(format!(
        "What the host's device tree differs in from the one that the loader gave: - gone, + new\n\n{changes}"
    ))
}
