//! What is known to differ between trees of the same board, as `known.txt` has it.

use crate::difference::Difference;

/// The table: a line for each difference, with its reason.
const TABLE: &str = include_str!("known.txt");

/// Between the two places of a node that some kernels have elsewhere.
const MOVED: &str = " -> ";

/// What a line says of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact<'l> {
    /// A node that descriptions have at `from` is at `to`.
    Moved {
        /// Where descriptions have it.
        from: &'l str,
        /// Where it is.
        to: &'l str,
    },
    /// A place, as [`Difference::place`] has it, has another value than is described.
    Differs {
        /// The place.
        place: &'l str,
        /// What is found there, in the words of the difference.
        found: &'l str,
    },
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'l> {
    /// The board.
    pub board: &'l str,
    /// The kernels whose trees it is true of, with commas between.
    pub kernels: &'l str,
    /// What is different.
    pub fact: Fact<'l>,
    /// Why that is no matter.
    pub why: &'l str,
}

/// The lines of the table, each with its number; an error for one that is none.
pub fn lines() -> impl Iterator<Item = (usize, Result<Line<'static>, &'static str>)> {
    let lines = TABLE.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| (number, read(line)))
}

fn read(line: &str) -> Result<Line<'_>, &'static str> {
    let fields: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let (board, kernels, fact, why) = match fields[..] {
        [board, kernels, place, why] => {
            let (from, to) = place.split_once(MOVED).ok_or("a moved node needs ` -> `")?;
            (board, kernels, Fact::Moved { from, to }, why)
        }
        [board, kernels, place, found, why] => (board, kernels, Fact::Differs { place, found }, why),
        _ => return Err("a line has four or five fields"),
    };
    if [board, kernels, why].contains(&"") {
        return Err("a field is empty");
    }
    Ok(Line {
        board,
        kernels,
        fact,
        why,
    })
}

/// What is known of one board's trees.
#[derive(Clone, Debug)]
pub(crate) struct Known(Vec<Fact<'static>>);

impl Known {
    /// What the table says of a board.
    pub fn of(board: &str) -> Known {
        let lines = lines().filter_map(|(_, line)| line.ok());
        Known(lines.filter(|line| line.board == board).map(|line| line.fact).collect())
    }

    /// Where else the node at `path` may be.
    pub fn places(&self, path: &str) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter_map(move |fact| match fact {
            Fact::Moved { from, to } if *from == path => Some(*to),
            _ => None,
        })
    }

    /// Whether a difference is one of those that are known.
    pub fn allows(&self, difference: &Difference) -> bool {
        let this = (difference.place(), difference.found.as_str());
        self.0.iter().any(|fact| match fact {
            Fact::Moved { .. } => false,
            Fact::Differs { place, found } => this == (place.to_string(), found),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_can_be_read() {
        let wrong: Vec<_> = lines().filter(|(_, line)| line.is_err()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(lines().count() > 20);
    }

    #[test]
    fn lines_are_read() {
        let moved = read("rb5 | 6.1 | /a -> /b | it was called b").unwrap();
        assert_eq!(moved.fact, Fact::Moved { from: "/a", to: "/b" });
        let differs = read("rb5 | 6.1, 7.3 | /a:reg | 0x1+0x2 | of no matter").unwrap();
        let expected = Fact::Differs {
            place: "/a:reg",
            found: "0x1+0x2",
        };
        assert_eq!((differs.kernels, differs.fact), ("6.1, 7.3", expected));
        for wrong in [
            "rb5 | 6.1 | /a | no arrow",
            "rb5",
            "rb5 |  | /a:reg | x | y",
            "a | b | c | d | e | f",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
