//! `docs/fault-delivery.md`: the part of it that is generated, between two marks, and its picture.

use super::picture;
use super::results::{self, Cell};
use crate::workspace;
use anyhow::{Context, Result};
use std::fs;

const BEGIN: &str = "<!-- matrix: what follows is written by `cargo xtask matrix --doc` -->\n";
const END: &str = "<!-- matrix: end -->\n";

/// Writes both.
///
/// # Errors
/// When a file cannot be read or written, or has no marks.
pub fn write(cells: &[Cell], command: &str) -> Result<()> {
    let docs = workspace::root().join("docs");
    let page = docs.join("fault-delivery.md");
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let text =
        replace(&text, &generated(cells, command)).with_context(|| format!("{} has no marks", page.display()))?;
    for (path, text) in [(page, text), (docs.join("fault-delivery.svg"), picture::svg(cells))] {
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn generated(cells: &[Cell], command: &str) -> String {
    let kernels = results::unique(cells, |cell| cell.kernel.as_str()).join(", ");
    format!(
        "Debian's kernels {kernels}, by `{command}`.\n\n![The matrix](fault-delivery.svg)\n\n{}",
        results::markdown(cells)
    )
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

    #[test]
    fn what_is_not_generated_stays() {
        let page = format!("# Title\n\n{BEGIN}\nold\n{END}\nConclusion\n");
        let once = replace(&page, "new\n").unwrap();
        assert_eq!(once, format!("# Title\n\n{BEGIN}\nnew\n\n{END}\nConclusion\n"));
        assert_eq!(replace(&once, "new\n").unwrap(), once);
        assert_eq!(replace("# Title\n", "new"), None);
    }
}
