//! The filled matrix: for machines, and for people.

use super::cell::Outcome;
use super::plan::{self, ACCESSES, CHAINS, REASONS};
use anyhow::{Context, Result};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One cell, filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The kernel's `uname -r`.
    pub kernel: String,
    /// The chain's name.
    pub chain: &'static str,
    /// The access's name.
    pub access: &'static str,
    /// What it came to.
    pub outcome: Outcome,
    /// Whether the kernel was well afterwards.
    pub alive: bool,
    /// What that is told from.
    pub why: String,
}

impl Cell {
    /// What people read: with a mark where the kernel was not well and the outcome does not say so.
    pub fn text(&self) -> String {
        let dead = matches!(self.outcome, Outcome::Panic | Outcome::Hang | Outcome::Unknown);
        let mark = if self.alive || dead || self.is_skipped() {
            ""
        } else {
            " †"
        };
        format!("{}{mark}", self.outcome)
    }

    /// Whether it could not be made.
    pub fn is_skipped(&self) -> bool {
        matches!(self.outcome, Outcome::NotApplicable(_))
    }
}

/// The array of `--json`.
pub fn json(cells: &[Cell]) -> Value {
    let object = |cell: &Cell| {
        let mut object = json!({
            "kernel": cell.kernel,
            "chain": cell.chain,
            "access": cell.access,
            "outcome": cell.outcome.name(),
            "alive": cell.alive,
        });
        if let Outcome::NotApplicable(reason) = cell.outcome {
            object["reason"] = json!(reason);
        }
        object
    };
    cells.iter().map(object).collect()
}

/// The text of it, one cell a line.
pub fn json_text(cells: &[Cell]) -> String {
    let cells = json(cells);
    let lines: Vec<String> = cells.as_array().into_iter().flatten().map(Value::to_string).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// Reads what [`json`] has made. Cells of chains or accesses that are no more are left out.
///
/// # Errors
/// When it is something else.
pub fn from_json(text: &str) -> Result<Vec<Cell>> {
    let values: Vec<Value> = serde_json::from_str(text)?;
    let cells = values.iter().map(|value| {
        let field = |name: &str| value[name].as_str().with_context(|| format!("a cell has no {name}"));
        let chain = plan::CHAINS.iter().map(|chain| chain.name);
        let access = ACCESSES.iter().map(|access| access.name);
        let (wanted_chain, wanted_access) = (field("chain")?, field("access")?);
        let names = chain
            .clone()
            .find(|name| *name == wanted_chain)
            .zip(access.clone().find(|name| *name == wanted_access));
        let Some((chain, access)) = names else {
            return Ok(None);
        };
        let reason = value["reason"].as_str().and_then(plan::reason);
        let outcome = field("outcome")?;
        Ok(Some(Cell {
            kernel: field("kernel")?.to_owned(),
            chain,
            access,
            outcome: Outcome::parse(outcome, reason).with_context(|| format!("no outcome is called {outcome}"))?,
            alive: value["alive"].as_bool().context("a cell has no alive")?,
            why: "an earlier run".to_owned(),
        }))
    });
    cells.filter_map(Result::transpose).collect()
}

/// Every kernel's table, as Markdown.
pub fn markdown(cells: &[Cell]) -> String {
    let mut text = String::new();
    for kernel in unique(cells, |cell| cell.kernel.as_str()) {
        let chains = chains(cells, kernel);
        let _ = writeln!(text, "### {kernel}\n");
        let _ = writeln!(text, "| access | {} |", chains.join(" | "));
        let _ = writeln!(text, "|---|{}", "---|".repeat(chains.len()));
        for access in ACCESSES {
            let row: Vec<String> = row(cells, kernel, &chains, access.name);
            if row.iter().any(|text| !text.is_empty()) {
                let _ = writeln!(text, "| {} | {} |", access.what, row.join(" | "));
            }
        }
        text.push('\n');
    }
    text += "| chain | `--fault` | the host's command line has also |\n|---|---|---|\n";
    for chain in CHAINS
        .iter()
        .filter(|chain| cells.iter().any(|cell| cell.chain == chain.name))
    {
        let bootargs = match chain.bootargs {
            "" => String::new(),
            bootargs => format!("`{bootargs}`"),
        };
        let _ = writeln!(text, "| {} | `{}` | {bootargs} |", chain.name, chain.fault);
    }
    text.push('\n');
    for (name, meaning) in REASONS {
        if cells.iter().any(|cell| cell.outcome == Outcome::NotApplicable(name)) {
            let _ = writeln!(text, "`n/a` ({name}): {meaning}.");
        }
    }
    text
}

/// Puts cells in the order of kernels by their versions, and of the plan's chains and accesses.
pub fn sort(cells: &mut [Cell]) {
    let mut kernels: Vec<String> = unique(cells, |cell| cell.kernel.as_str())
        .into_iter()
        .map(str::to_owned)
        .collect();
    kernels.sort_by_key(|kernel| version(kernel));
    cells.sort_by_key(|cell| {
        (
            kernels.iter().position(|kernel| *kernel == cell.kernel),
            plan::CHAINS.iter().position(|chain| chain.name == cell.chain),
            ACCESSES.iter().position(|access| access.name == cell.access),
        )
    });
}

/// The numbers of a release, in their order: 6.12 comes behind 6.1.
fn version(release: &str) -> Vec<u64> {
    let numbers = release.split(|character: char| !character.is_ascii_digit());
    numbers.filter_map(|number| number.parse().ok()).collect()
}

/// One kernel's table, for a terminal.
pub fn terminal(cells: &[Cell], kernel: &str) -> String {
    let chains = chains(cells, kernel);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(std::iter::once(kernel).chain(chains.iter().copied()));
    for access in ACCESSES {
        let row = row(cells, kernel, &chains, access.name);
        if row.iter().any(|text| !text.is_empty()) {
            table.add_row(std::iter::once(access.name.to_owned()).chain(row));
        }
    }
    table.trim_fmt()
}

fn row(cells: &[Cell], kernel: &str, chains: &[&str], access: &str) -> Vec<String> {
    let of = |chain: &&str| {
        let found = cells
            .iter()
            .find(|cell| (cell.kernel.as_str(), cell.chain, cell.access) == (kernel, *chain, access));
        found.map_or_else(String::new, Cell::text)
    };
    chains.iter().map(of).collect()
}

/// The chains that a kernel was tried with, in the order of the cells.
pub fn chains<'c>(cells: &'c [Cell], kernel: &str) -> Vec<&'c str> {
    let of_kernel: Vec<&Cell> = cells.iter().filter(|cell| cell.kernel == kernel).collect();
    let mut chains: Vec<&str> = Vec::new();
    for cell in of_kernel {
        if !chains.contains(&cell.chain) {
            chains.push(cell.chain);
        }
    }
    chains
}

/// What the cells have of something, each once, in their order.
pub fn unique<'c>(cells: &'c [Cell], of: impl Fn(&'c Cell) -> &'c str) -> Vec<&'c str> {
    let mut found = Vec::new();
    for text in cells.iter().map(of) {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn cell(chain: &'static str, access: &'static str, outcome: Outcome, alive: bool) -> Cell {
        Cell {
            kernel: "6.12".into(),
            chain,
            access,
            outcome,
            alive,
            why: String::new(),
        }
    }

    #[test]
    fn json_has_the_fields_that_were_promised() {
        let skipped = cell(
            "shipped",
            "cache-maintenance",
            Outcome::NotApplicable("no-aarch32"),
            true,
        );
        let value = json(&[cell("shipped", "user-read", Outcome::SigBus, true), skipped]);
        assert_eq!(
            value[0],
            json!({"kernel": "6.12", "chain": "shipped", "access": "user-read", "outcome": "sigbus", "alive": true})
        );
        assert_eq!(
            (&value[1]["outcome"], &value[1]["reason"]),
            (&json!("n/a"), &json!("no-aarch32"))
        );
    }

    #[test]
    fn kernels_come_by_their_versions() {
        let of = |kernel: &str| Cell {
            kernel: kernel.into(),
            ..cell("shipped", "user-read", Outcome::SigBus, true)
        };
        let mut cells = ["7.3.4+deb13-arm64", "6.12.117+deb12-arm64", "6.1.0-56-arm64"].map(of);
        sort(&mut cells);
        assert_eq!(version(&cells[0].kernel)[..2], [6, 1]);
        assert_eq!(version(&cells[1].kernel)[..2], [6, 12]);
    }

    #[test]
    fn json_is_read_back() {
        let cells = [
            cell("shipped", "user-read", Outcome::SigBus, true),
            cell(
                "shipped",
                "cache-maintenance",
                Outcome::NotApplicable("no-aarch32"),
                true,
            ),
        ];
        let read = from_json(&json_text(&cells)).unwrap();
        assert_eq!(json(&read), json(&cells));
        assert!(from_json(r#"[{"kernel": "6.12"}]"#).is_err());
        let old = json(&cells).to_string().replace("user-read", "no-longer");
        assert_eq!(from_json(&old).unwrap().len(), 1);
    }

    #[test]
    fn the_table_has_a_row_for_each_access_and_a_column_for_each_chain() {
        let cells = [
            cell("external-abort", "user-read", Outcome::SigBus, true),
            cell("external-abort", "kernel-read", Outcome::Loop, false),
            cell("shipped", "kernel-read", Outcome::Hang, false),
        ];
        let text = markdown(&cells);
        assert!(
            text.contains("| access | external-abort | shipped |\n|---|---|---|\n"),
            "{text}"
        );
        assert!(text.contains("| a process loads | sigbus |  |\n"), "{text}");
        assert!(text.contains("| the kernel loads | loop † | hang |\n"), "{text}");
        assert!(terminal(&cells, "6.12").contains("kernel-read"));
    }
}
