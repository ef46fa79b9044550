//! Text that came from a host or a guest, made fit for a terminal and for a report.

/// The text with every control character but tab and line break spelled out.
///
/// What a guest writes must not move the cursor, rename the window or hide other lines of the person who reads it.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\t' | '\n') {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// Cuts a stream of bytes into lines.
#[derive(Debug, Default)]
pub(crate) struct LineCutter {
    partial: Vec<u8>,
}

impl LineCutter {
    /// Takes bytes; gives the lines that they end, without line breaks.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                lines.extend(self.take());
            }
        }
        lines
    }

    /// The line that has begun; none when there is nothing of it.
    pub(crate) fn partial(&self) -> Option<String> {
        (!self.partial.is_empty()).then(|| text(&self.partial))
    }

    /// Ends the line that has begun.
    pub(crate) fn take(&mut self) -> Option<String> {
        let line = self.partial();
        self.partial.clear();
        line
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // A terminal line ends in CR LF, and Linux's drivers may send more than one CR.
    let end = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
    String::from_utf8_lossy(&line[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(printable("a\tb\nc"), "a\tb\nc");
        assert_eq!(
            printable("\x1b]0;owned\x07\u{9b}31m"),
            "\\u{1b}]0;owned\\u{7}\\u{9b}31m"
        );
    }

    #[test]
    fn lines_do_not_depend_on_how_the_bytes_came() {
        let mut cutter = LineCutter::default();
        assert_eq!(cutter.push(b"one\r\ntw"), ["one"]);
        assert_eq!(cutter.partial().as_deref(), Some("tw"));
        assert_eq!(cutter.push(b"o\n\nthree\xff"), ["two", ""]);
        assert_eq!(cutter.take().as_deref(), Some("three\u{fffd}"));
        assert_eq!(cutter.take(), None);
    }
}
