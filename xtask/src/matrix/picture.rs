//! The picture of the matrix: a square for each cell.

use super::cell::Outcome;
use super::plan::ACCESSES;
use super::results::{self, Cell};
use std::fmt::Write as _;

/// Sizes, in pixels of the picture's own.
const LEFT: usize = 260;
const TOP: usize = 190;
const WIDTH: usize = 62;
const HEIGHT: usize = 20;
const GAP: usize = 16;

/// A column: a kernel and a chain, and where it begins.
struct Column<'c> {
    kernel: &'c str,
    chain: &'c str,
    x: usize,
}

/// Draws the cells, kernel by kernel, a column for each chain.
pub fn svg(cells: &[Cell]) -> String {
    let columns = columns(cells);
    let rows: Vec<_> = ACCESSES
        .iter()
        .filter(|access| cells.iter().any(|cell| cell.access == access.name))
        .collect();
    let right = columns.last().map_or(LEFT, |column| column.x + WIDTH) + 110;
    let bottom = TOP + rows.len() * HEIGHT + 10;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {right} {bottom}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    for column in &columns {
        let (x, y) = (column.x + WIDTH / 2, TOP - 8);
        let name = escape(&format!("{} · {}", short(column.kernel), column.chain));
        let _ = writeln!(
            text,
            "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-50 {x} {y})\">{name}</text>"
        );
    }
    for (n, access) in rows.iter().enumerate() {
        let y = TOP + n * HEIGHT;
        let name = escape(&access.what.replace('`', ""));
        let _ = writeln!(
            text,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}</text>",
            LEFT - 8,
            y + 14
        );
        for column in &columns {
            let is = |cell: &&Cell| {
                (cell.kernel.as_str(), cell.chain, cell.access) == (column.kernel, column.chain, access.name)
            };
            if let Some(cell) = cells.iter().find(is) {
                square(&mut text, cell, column.x, y);
            }
        }
    }
    text + "</svg>\n"
}

fn square(text: &mut String, cell: &Cell, x: usize, y: usize) {
    let (width, height, middle, base) = (WIDTH - 2, HEIGHT - 2, x + WIDTH / 2, y + 14);
    let (fill, label) = (colour(cell), escape(&cell.text()));
    let _ = writeln!(
        text,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"2\" fill=\"{fill}\"/>\
         <text x=\"{middle}\" y=\"{base}\" text-anchor=\"middle\">{label}</text>"
    );
}

/// Green: nobody but the offender has lost anything. Yellow: the kernel complains. Red: the machine is lost.
fn colour(cell: &Cell) -> &'static str {
    match cell.outcome {
        Outcome::NotApplicable(_) => "#e4e4e4",
        Outcome::Unknown => "#d9b3ff",
        Outcome::Panic | Outcome::Hang => "#ef6f6c",
        _ if !cell.alive => "#ef6f6c",
        Outcome::Oops | Outcome::Loop => "#f6b26b",
        Outcome::Warning => "#f9e28a",
        Outcome::NoEffect => "#cfe8f3",
        Outcome::SigBus | Outcome::SigSegv | Outcome::SigKill | Outcome::EFault | Outcome::FixUp => "#a8d8a0",
    }
}

fn columns(cells: &[Cell]) -> Vec<Column<'_>> {
    let (mut columns, mut x) = (Vec::new(), LEFT);
    for kernel in results::unique(cells, |cell| cell.kernel.as_str()) {
        for chain in results::chains(cells, kernel) {
            columns.push(Column { kernel, chain, x });
            x += WIDTH;
        }
        x += GAP;
    }
    columns
}

/// A kernel's version without its build.
fn short(release: &str) -> &str {
    release.split(['+', '-']).next().unwrap_or(release)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::cell;
    use super::*;

    #[test]
    fn every_cell_has_its_square() {
        let cells = [
            cell("shipped", "user-read", Outcome::SigBus, true),
            cell("shipped", "kernel-read", Outcome::Oops, false),
        ];
        let picture = svg(&cells);
        assert_eq!(picture.matches("<rect x=").count(), cells.len());
        assert!(
            picture.contains(">sigbus</text>") && picture.contains(">oops †</text>"),
            "{picture}"
        );
        assert!(picture.contains(">6.12 · shipped</text>") && picture.ends_with("</svg>\n"));
    }

    #[test]
    fn what_the_machine_does_not_survive_is_red() {
        let red = colour(&cell("shipped", "kernel-read", Outcome::Hang, false));
        assert_eq!(colour(&cell("shipped", "kernel-read", Outcome::Loop, false)), red);
        assert_ne!(colour(&cell("shipped", "kernel-read", Outcome::Loop, true)), red);
    }
}
