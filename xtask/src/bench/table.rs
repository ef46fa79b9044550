//! The figures as a person reads them.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use leasehold_tests::bench::{Entries, Figure, Limit, Value, judge, kind_of};

/// How wide the tables may be, in columns.
const WIDTH: u16 = 125;

/// Exception classes that a host's boot may come to EL2 by (Arm ARM D24.2.40, ESR_EL2.EC).
const CLASSES: [(u64, &str); 8] = [
    (0x01, "WFI or WFE"),
    (0x07, "SVE, SIMD or floating point"),
    (0x16, "HVC"),
    (0x17, "SMC"),
    (0x18, "system register"),
    (0x19, "SVE"),
    (0x20, "instruction abort"),
    (0x24, "data abort"),
];

fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table
}

/// A row for each figure: name, value, unit, what it may be and whether it is, and what others need.
/// `all` are the figures that limits may stand on.
pub(super) fn of(figures: &[Figure], all: &[Figure]) -> Table {
    let mut table = table();
    table.set_header(["figure", "value", "unit", "at most", "", "others"]);
    for figure in figures {
        let kind = kind_of(&figure.name);
        let (limit, kept) = match judge(figure, all) {
            None => (String::new(), ""),
            Some(verdict) => {
                let mut limit = Value::Count(verdict.limit).to_string();
                if let Some(Limit::Thousandths(thousandths, other)) = kind.map(|kind| kind.limit) {
                    limit += &format!(" ({} x {other})", f64::from(thousandths as u32) / 1000.0);
                }
                (limit, if verdict.kept { "ok" } else { "MORE" })
            }
        };
        table.add_row([
            figure.name.as_str(),
            &figure.value.to_string(),
            &figure.unit,
            &limit,
            kept,
            kind.map_or("", |kind| kind.peers),
        ]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A row for each cause by which a host's boot came to EL2.
pub(super) fn of_entries(entries: &[Entries]) -> Table {
    let mut table = table();
    table.set_header(["entries of the host's boot into EL2", "", "times"]);
    for Entries {
        vector,
        class,
        page,
        count,
    } in entries
    {
        let cause = match class {
            None => format!("vector {vector:#x}"),
            Some(class) => match CLASSES.iter().find(|(it, _)| it == class) {
                Some((_, name)) => (*name).to_owned(),
                None => format!("class {class:#x}"),
            },
        };
        let page = page.map_or(String::new(), |page| format!("page {page:#x}"));
        table.add_row([cause, page, count.to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its rows, each cell parted from the next by a bar.
    fn rows(table: &Table) -> Vec<String> {
        let cells = |row: &comfy_table::Row| {
            row.cell_iter()
                .map(comfy_table::Cell::content)
                .collect::<Vec<_>>()
                .join("|")
        };
        table.row_iter().map(cells).collect()
    }

    #[test]
    fn a_figure_stands_beside_its_limit() {
        let figure = |name, value| kind_of(name).unwrap().figure(Value::Count(value));
        let figures = [
            figure("lend.4k", 1001),
            figure("lend.2m", 3000),
            figure("image.bytes", 278_528),
        ];
        let expected = [
            "lend.4k|1,001|instructions|1,000|MORE|",
            "lend.2m|3,000|instructions|3,003 (3 x lend.4k)|ok|",
            "image.bytes|278,528|bytes|||",
        ];
        assert_eq!(rows(&of(&figures, &figures)), expected);
    }

    #[test]
    fn entries_are_named_by_their_cause() {
        let entry = |vector, class, page| Entries {
            vector,
            class,
            page,
            count: 3,
        };
        let entries = [
            entry(0x400, Some(0x17), None),
            entry(0x400, Some(0x24), Some(0x80a_0000)),
            entry(0x400, Some(0x3f), None),
            entry(0x480, None, None),
        ];
        let expected = [
            "SMC||3",
            "data abort|page 0x80a0000|3",
            "class 0x3f||3",
            "vector 0x480||3",
        ];
        assert_eq!(rows(&of_entries(&entries)), expected);
    }
}
