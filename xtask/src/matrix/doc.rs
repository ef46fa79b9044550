//! `docs/fault-delivery.md`: the part of it that is generated, between two marks, its picture, and the cells that both are
//! made of.

use super::results::{self, Cell};
use super::{advice, picture};
use crate::{ui, workspace};
use anyhow::{Context, Result};
use std::fs;

const BEGIN: &str = "<!-- matrix: what follows is written by `cargo xtask matrix --doc` -->\n";
const END: &str = "<!-- matrix: end -->\n";

/// Writes all three.
///
/// # Errors
/// When a cell contradicts the advice, a file cannot be read or written, or the page has no marks.
pub fn write(cells: &[Cell], command: &str) -> Result<()> {
    let docs = workspace::root().join("docs");
    let page = docs.join("fault-delivery.md");
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let text =
        replace(&text, &generated(cells, command)?).with_context(|| format!("{} has no marks", page.display()))?;
    for (path, text) in [
        (page, text),
        (docs.join("fault-delivery.svg"), picture::svg(cells)),
        (docs.join("fault-delivery.json"), results::json_text(cells)),
    ] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn generated(cells: &[Cell], command: &str) -> Result<String> {
    let kernels = results::unique(cells, |cell| cell.kernel.as_str()).join(", ");
    let tables = results::markdown(cells);
    let mut text = format!("The kernels {kernels}, by `{command}`.\n\n![The matrix](fault-delivery.svg)\n\n{tables}");
    match advice::markdown(cells)? {
        Some(advice) => text = format!("{}\n\n{advice}", text.trim_end()),
        None => ui::step("Left out", "which chain to choose: that takes the cells of every chain"),
    }
    Ok(text)
}

/// The page with another text between its marks.
fn replace(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in the tree was generated, and nobody has changed the page, the picture or the cells by hand since.
    #[test]
    fn the_page_is_made_of_the_cells_beside_it() {
        let read = |name: &str| fs::read_to_string(workspace::root().join("docs").join(name)).unwrap();
        let (page, text) = (read("fault-delivery.md"), read("fault-delivery.json"));
        let cells = results::from_json(&text).unwrap();
        let (_, rest) = page.split_once(", by `cargo").unwrap();
        let (command, _) = rest.split_once("`.\n").unwrap();
        let generated = generated(&cells, &format!("cargo{command}")).unwrap();
        assert!(
            replace(&page, &generated).unwrap() == page,
            "run `cargo xtask matrix --from docs/fault-delivery.json --doc`"
        );
        assert!(picture::svg(&cells) == read("fault-delivery.svg"));
        assert!(results::json_text(&cells) == text);
    }

    #[test]
    fn what_is_not_generated_stays() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\nConclusion\n");
        let once = replace(&page, "new\n").unwrap();
        assert_eq!(once, format!("# Title\n\n{BEGIN}\nnew\n\n{END}\nConclusion\n"));
        assert_eq!(replace(&once, "new\n").unwrap(), once);
        assert_eq!(replace("# Title\n", "new"), None);
    }
}
