//! `cargo xtask boards`: which boards there are, and what their support stands on.

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use leasehold_boards::soc::description::{Gic, SmmuUnit, SmmuUnitKind, SocDescription, UartKind};
use leasehold_boards::{Description, Machine, Policy};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How wide the table may be, in columns.
const WIDTH: u16 = 180;

/// Lists the boards: what each is made of, how it gets to EL2, and what has been verified of it and how.
///
/// The tier says what a board's support stands on. Only what runs in CI has ever run.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print a JSON array, an object for each board, and nothing else.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the list cannot be written.
pub fn run(args: &Args) -> Result<()> {
    if args.json {
        let all: Vec<Value> = leasehold_boards::all()
            .iter()
            .map(|board| Row::of(board).json())
            .collect();
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        println!("{}", table(leasehold_boards::all()));
        println!("\nFault policies:");
        for (policy, reason) in reasons(leasehold_boards::all()) {
            println!("  {policy}: {reason}");
        }
    }
    Ok(())
}

/// What is told of a board.
struct Row {
    board: &'static Description,
    soc: String,
    cpus: String,
    gic: String,
    smmu: String,
    console: String,
    uncontained: Vec<&'static str>,
}

impl Row {
    fn of(board: &'static Description) -> Self {
        match &board.machine {
            Machine::Qualcomm { soc, .. } => Self {
                board,
                soc: soc.name.into(),
                cpus: format!("{}: {}", soc.cpus.affinities.len(), soc.cpus.cores),
                gic: gic(soc),
                smmu: soc.smmus.iter().map(smmu).collect::<Vec<_>>().join("; "),
                console: console(board),
                uncontained: soc.uncontained().map(|master| master.name).collect(),
            },
            Machine::Other(facts) => Self {
                board,
                soc: facts.soc.into(),
                cpus: facts.cpus.into(),
                gic: facts.gic.into(),
                smmu: facts.smmu.into(),
                console: facts.console.into(),
                uncontained: facts.uncontained.to_vec(),
            },
        }
    }

    /// The policy's name, if it has one.
    fn policy(&self) -> String {
        let named = Policy::NAMED.iter().find(|(_, policy)| *policy == self.board.policy);
        named.map_or_else(|| self.board.policy.to_string(), |(name, _)| (*name).to_owned())
    }

    /// Whether memory can be lent on the board as it is.
    fn lending(&self) -> &'static str {
        match (self.uncontained.is_empty(), self.board.accept_uncontained) {
            (true, _) => "allowed",
            (false, true) => "allowed: uncontained masters are accepted",
            (false, false) => "refused",
        }
    }

    fn json(&self) -> Value {
        let board = self.board;
        let withheld = board.soc().map_or(&[][..], |soc| soc.withheld);
        let withheld: Vec<&str> = withheld.iter().map(|withheld| withheld.name).collect();
        json!({
            "name": board.name,
            "title": board.title,
            "tier": board.tier.words(),
            "soc": self.soc,
            "cpus": self.cpus,
            "gic": self.gic,
            "smmu": self.smmu,
            "console": self.console,
            "el2_entry": board.entry.words(),
            "fault_policy": self.policy(),
            "fault_policy_reason": board.policy_reason,
            "uncontained_masters": self.uncontained,
            "withheld_from_the_host": withheld,
            "lending": self.lending(),
            "verified": board.verified,
            "load_address": board.load_address(),
            "device_tree": board.tree.map(|tree| tree.file),
        })
    }
}

fn gic(soc: &SocDescription) -> String {
    let base = soc.gic.block().first().start();
    match &soc.gic {
        Gic::V2 { .. } => format!("GICv2 at {base}"),
        Gic::V3 { stride, .. } => format!("GICv3 at {base}, GICR every {} KiB", stride >> 10),
    }
}

fn smmu(unit: &SmmuUnit) -> String {
    let version = match unit.kind {
        SmmuUnitKind::V2(_) => "SMMUv2",
        SmmuUnitKind::V3 => "SMMUv3",
    };
    let access = match (unit.contains(), unit.is_hosts()) {
        (true, _) => "",
        (false, true) => " of Secure code's",
        (false, false) => ", left alone",
    };
    format!("{} {version}{access}", unit.name)
}

fn console(board: &Description) -> String {
    board.log_uart().map_or_else(String::new, |uart| {
        let kind = match uart.kind {
            UartKind::Geni { .. } => "GENI",
            UartKind::Uartdm => "UARTDM",
        };
        format!("{kind} at {}, firmware's clock", uart.block.first().start())
    })
}

/// Why boards have the policies that they have, each reason once.
fn reasons(boards: &[&'static Description]) -> BTreeSet<(String, &'static str)> {
    let reason = |board: &&'static Description| (Row::of(board).policy(), board.policy_reason);
    boards.iter().map(reason).collect()
}

fn table(boards: &[&'static Description]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header([
        "board",
        "tier",
        "SoC",
        "CPUs",
        "GIC",
        "SMMU",
        "log",
        "EL2 entry",
        "fault policy",
        "no SMMU contains",
        "verified, and how",
    ]);
    for board in boards {
        let row = Row::of(board);
        let uncontained = if row.uncontained.is_empty() {
            "-".to_owned()
        } else {
            format!("{}; lending {}", row.uncontained.join(", "), row.lending())
        };
        table.add_row([
            board.name,
            board.tier.words(),
            &row.soc,
            &row.cpus,
            &row.gic,
            &row.smmu,
            &row.console,
            board.entry.words(),
            &row.policy(),
            &uncontained,
            &board.verified.join("; "),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_boards::Tier;

    fn boards() -> &'static [&'static Description] {
        leasehold_boards::all()
    }

    #[test]
    fn every_folder_with_a_package_is_a_board_of_that_name() {
        let folder = crate::workspace::root().join("boards");
        let folders: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().join("Cargo.toml").is_file() && entry.file_name() != "common")
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        let names: BTreeSet<String> = boards().iter().map(|board| board.name.to_owned()).collect();
        assert_eq!(names, folders);
    }

    #[test]
    fn the_list_tells_what_never_ran_from_what_did() {
        for board in boards() {
            let text = Row::of(board).json().to_string();
            assert!(text.contains(board.tier.words()), "{}", board.name);
            assert!(!board.verified.is_empty(), "{}", board.name);
            let told = board.verified.join(" ");
            assert_eq!(told.contains("on QEMU"), board.tier == Tier::RunsInCi, "{told}");
        }
        let tiers: BTreeSet<_> = boards().iter().map(|board| board.tier.words()).collect();
        assert_eq!(tiers.len(), 3);
        let shown = table(boards()).to_string();
        for board in boards() {
            assert!(shown.contains(board.name), "{shown}");
        }
    }

    #[test]
    fn where_masters_are_uncontained_the_list_says_that_lending_is_refused() {
        for board in boards() {
            let row = Row::of(board);
            let refused = !row.uncontained.is_empty() && !board.accept_uncontained;
            assert_eq!(row.lending() == "refused", refused, "{}", board.name);
        }
        let db410c = Row::of(leasehold_boards::find("db410c").unwrap()).json();
        assert_eq!(db410c["lending"], "refused");
        let masters = db410c["uncontained_masters"].to_string();
        for name in ["USB", "SDHC 1", "BLSP DMA", "Wi-Fi", "audio"] {
            assert!(masters.contains(name), "{name}: {masters}");
        }
    }

    #[test]
    fn images_are_linked_where_nobody_has_reserved_memory_and_within_reach() {
        /// More than any image takes: QEMU's takes 3 MiB in the end, with stacks.
        const ROOM: u64 = 8 << 20;
        for board in boards() {
            let start = board.load_address();
            assert!(start.is_multiple_of(2 << 20), "{}", board.name);
            assert!(start + ROOM < (4 << 30) - (64 << 10), "{}: defmt's symbols", board.name);
            let clash = board.reserved.iter().find(|reserved| {
                let (from, len) = (reserved.range.start().as_u64(), reserved.range.len());
                from < start + ROOM && start < from + len
            });
            assert!(clash.is_none(), "{}: {clash:?}", board.name);
            if let Some(soc) = board.soc() {
                let inside = |ram: &leasehold_memory_map::PhysRange| {
                    ram.start().as_u64() <= start && start + ROOM <= ram.start().as_u64() + ram.len()
                };
                assert!(soc.ram.iter().any(inside), "{}", board.name);
                assert!(!board.reserved.is_empty(), "{}", board.name);
            }
        }
    }
}
