//! Files that a person has reviewed, and what has become of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Set to anything, tests write the golden files and do not compare them.
pub const WRITE: &str = "LEASEHOLD_GOLDEN";

/// Lines around a difference.
const CONTEXT: usize = 3;

/// Compares `text` with the golden file of a board, or writes it.
///
/// # Errors
/// The difference, or why there is no file.
pub fn check(board: &str, file: &str, text: &str) -> Result<(), String> {
    let path = folder(board).join(file);
    if std::env::var_os(WRITE).is_some() {
        return write(&path, text).map_err(|error| format!("{}: {error}", path.display()));
    }
    let golden = std::fs::read_to_string(&path);
    let golden = golden.map_err(|error| format!("{}: {error}\n{}", path.display(), how()))?;
    if golden == text {
        return Ok(());
    }
    let difference = difference(&golden, text);
    Err(format!(
        "{} is not what comes out:\n{difference}{}",
        path.display(),
        how()
    ))
}

fn how() -> String {
    format!("`{WRITE}=write cargo test -p leasehold-twin` writes it anew; look at the difference before you commit it")
}

/// Where the golden files of a board are.
#[must_use]
pub fn folder(board: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(board)
}

fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, text)
}

/// What `new` has and `old` has not, and the other way round, with some lines around it. Nothing where they are equal.
#[must_use]
pub fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let steps = steps(&old, &new);
    let mut text = String::new();
    let mut shown = 0;
    for (n, (mark, line)) in steps.iter().enumerate() {
        let near = steps[n.saturating_sub(CONTEXT)..steps.len().min(n + CONTEXT + 1)]
            .iter()
            .any(|(mark, _)| *mark != ' ');
        if near {
            if shown < n {
                text.push_str("...\n");
            }
            let _ = writeln!(text, "{mark} {line}");
            shown = n + 1;
        }
    }
    text
}

/// The lines of both, those that are in one only marked: as few of these as can be.
fn steps<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let same_start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[same_start..], &new[same_start..]);
    let same_end = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (a, b) = (
        &old_rest[..old_rest.len() - same_end],
        &new_rest[..new_rest.len() - same_end],
    );
    // How many lines in common there are from here on.
    let mut common = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let mut steps: Vec<_> = old[..same_start].iter().map(|line| (' ', *line)).collect();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            steps.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && common[i + 1][j] >= common[i][j + 1] {
            steps.push(('-', a[i]));
            i += 1;
        } else {
            steps.push(('+', b[j]));
            j += 1;
        }
    }
    steps.extend(old_rest[a.len()..].iter().map(|line| (' ', *line)));
    steps
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn what_differs_is_shown_with_what_is_around_it() {
        let old: String = (0..20).map(|n| format!("{n}\n")).collect();
        assert_eq!(difference(&old, &old), "");
        let new = old.replace("10\n", "ten\n");
        assert_eq!(
            difference(&old, &new),
            "...\n  7\n  8\n  9\n- 10\n+ ten\n  11\n  12\n  13\n"
        );
        assert_eq!(difference("a\nb\n", "b\n"), "- a\n  b\n");
    }
}
