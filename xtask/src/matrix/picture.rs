//! The picture of the matrix: a square for each cell, a panel for each kernel.

use super::cell::Outcome;
use super::plan::{ACCESSES, Access};
use super::results::{self, Cell};
use std::fmt::Write as _;

/// Sizes, in pixels of the picture's own.
const LEFT: usize = 260;
const RIGHT: usize = 110;
const TITLE: usize = 24;
/// What the chains' names take above a panel.
const NAMES: usize = 130;
const WIDTH: usize = 62;
const HEIGHT: usize = 20;
const LEGEND: usize = 40;
/// What a colour and its meaning take.
const MEANING: usize = 180;

/// What the colours mean.
const COLOURS: [(&str, &str); 7] = [
    (TOLD, "the offender alone is told"),
    (UNTOLD, "goes on, nobody is told"),
    (WARNED, "the kernel warns"),
    (TASK, "a task is lost"),
    (MACHINE, "a CPU or the machine is lost"),
    (SKIPPED, "cannot be made"),
    (UNKNOWN, "cannot be told"),
];
const TOLD: &str = "#a8d8a0";
const UNTOLD: &str = "#cfe8f3";
const WARNED: &str = "#f9e28a";
const TASK: &str = "#f6b26b";
const MACHINE: &str = "#ef6f6c";
const SKIPPED: &str = "#e4e4e4";
const UNKNOWN: &str = "#d9b3ff";

/// Draws the cells, kernel by kernel, a column for each chain.
pub fn svg(cells: &[Cell]) -> String {
    let kernels = results::unique(cells, |cell| cell.kernel.as_str());
    let widest = kernels.iter().map(|kernel| results::chains(cells, kernel).len()).max();
    let (mut text, mut y) = (String::new(), 0);
    for kernel in &kernels {
        y = panel(&mut text, cells, kernel, y);
    }
    legend(&mut text, y + HEIGHT);
    let right = (LEFT + widest.unwrap_or(0) * WIDTH + RIGHT).max(MEANING * COLOURS.len());
    let bottom = y + LEGEND;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {right} {bottom}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{text}</svg>\n"
    )
}

/// Draws one kernel's, from `y` down. Returns where it ends.
fn panel(text: &mut String, cells: &[Cell], kernel: &str, y: usize) -> usize {
    let chains = results::chains(cells, kernel);
    let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.kernel == kernel).collect();
    let is_there = |access: &&Access| cells.iter().any(|cell| cell.access == access.name);
    let rows: Vec<&Access> = ACCESSES.iter().filter(is_there).collect();
    let name = escape(kernel);
    let _ = writeln!(text, "<text x=\"8\" y=\"{}\" font-size=\"15\">{name}</text>", y + TITLE);
    let top = y + TITLE + NAMES;
    for (n, chain) in chains.iter().enumerate() {
        let (x, y) = (LEFT + n * WIDTH + WIDTH / 2, top - 8);
        let name = escape(chain);
        let _ = writeln!(
            text,
            "<text x=\"{x}\" y=\"{y}\" transform=\"rotate(-50 {x} {y})\">{name}</text>"
        );
    }
    for (n, access) in rows.iter().enumerate() {
        let y = top + n * HEIGHT;
        let name = escape(&access.what.replace('`', ""));
        let (x, base) = (LEFT - 8, y + 14);
        let _ = writeln!(text, "<text x=\"{x}\" y=\"{base}\" text-anchor=\"end\">{name}</text>");
        for cell in cells.iter().filter(|cell| cell.access == access.name) {
            let column = chains.iter().position(|chain| *chain == cell.chain).unwrap_or(0);
            square(text, cell, LEFT + column * WIDTH, y);
        }
    }
    top + rows.len() * HEIGHT
}

fn legend(text: &mut String, y: usize) {
    for (n, (colour, meaning)) in COLOURS.iter().enumerate() {
        let x = 8 + n * MEANING;
        let (beside, base) = (x + 18, y + 10);
        let _ = writeln!(
            text,
            "<rect width=\"12\" height=\"12\" x=\"{x}\" y=\"{y}\" fill=\"{colour}\"/>\
             <text x=\"{beside}\" y=\"{base}\">{meaning}</text>"
        );
    }
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

fn colour(cell: &Cell) -> &'static str {
    match cell.outcome {
        Outcome::NotApplicable(_) => SKIPPED,
        Outcome::Unknown => UNKNOWN,
        Outcome::Panic | Outcome::Hang => MACHINE,
        _ if !cell.alive => MACHINE,
        Outcome::Oops | Outcome::Loop => TASK,
        Outcome::Warning => WARNED,
        Outcome::NoEffect => UNTOLD,
        Outcome::SigBus | Outcome::SigSegv | Outcome::SigKill | Outcome::EFault | Outcome::FixUp => TOLD,
    }
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
        assert!(
            picture.contains(">6.12</text>") && picture.contains(">shipped</text>") && picture.ends_with("</svg>\n")
        );
    }

    #[test]
    fn what_the_machine_does_not_survive_is_red() {
        let red = colour(&cell("shipped", "kernel-read", Outcome::Hang, false));
        assert_eq!(colour(&cell("shipped", "kernel-read", Outcome::Loop, false)), red);
        assert_ne!(colour(&cell("shipped", "kernel-read", Outcome::Loop, true)), red);
    }
}
