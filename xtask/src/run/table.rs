//! The table at the end of a run.

use comfy_table::{ContentArrangement, Row, Table, presets};
use leasehold_tests::{Step, Steps, printable};

/// How wide the table may be, in columns.
const WIDTH: u16 = 110;

/// A row for each step; steps of one name have one row, which says how many they are.
pub(super) fn of(steps: &Steps) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    for group in group(&steps.steps) {
        table.add_row(row(&group));
    }
    if let Some((passed, failed)) = steps.done {
        table.add_row(["", "", &format!("{passed} passed, {failed} failed")]);
    }
    table
}

/// Steps of one name.
struct Group<'s> {
    name: &'s str,
    count: usize,
    /// The first that failed, or else the first.
    shown: &'s Step,
}

fn group(steps: &[Step]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for step in steps {
        match groups.iter_mut().find(|group| group.name == step.name) {
            None => groups.push(Group {
                name: &step.name,
                count: 1,
                shown: step,
            }),
            Some(group) => {
                group.count += 1;
                if group.shown.ok && !step.ok {
                    group.shown = step;
                }
            }
        }
    }
    groups
}

fn row(group: &Group<'_>) -> Row {
    let name = match group.count {
        1 => group.name.to_owned(),
        count => format!("{} ({count} times)", group.name),
    };
    let verdict = if group.shown.ok { "ok" } else { "FAIL" };
    Row::from([printable(&name), verdict.to_owned(), printable(&group.shown.seen)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_row_is_the_first_step_and_failures_are_not_hidden() {
        let steps = Steps::parse([
            "LH-STEP kernel\tok\t6.12.95+deb12-arm64",
            "LH-STEP load\tok\tone",
            "LH-STEP load\tFAIL\ttwo \x1b[2J",
            "LH-STEP load\tok\tthree",
            "LH-DONE 3 1",
        ]);
        let table = of(&steps);
        let lines: Vec<_> = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        let expected = [
            "kernel ok 6.12.95+deb12-arm64",
            "load (3 times) FAIL two \\u{1b}[2J",
            "3 passed, 1 failed",
        ];
        assert_eq!(lines, expected);
    }
}
