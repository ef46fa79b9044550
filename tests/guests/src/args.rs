//! Words and `key=value` pairs in a command line.

/// The value of `key`, the last one if there are several.
pub fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_ascii_whitespace()
        .rev()
        .filter_map(|word| word.split_once('='))
        .find(|(k, _)| *k == key)
        .map(|(_, v)| v)
}

/// Is the word there?
pub fn has(line: &str, word: &str) -> bool {
    line.split_ascii_whitespace().any(|w| w == word)
}

/// A number, decimal or with `0x`.
pub fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The number of `key`, or `default`.
pub fn number_of(line: &str, key: &str, default: u64) -> u64 {
    value(line, key).and_then(number).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "scenario=warm-tlb cpus=0x4  spin scenario=smp";

    #[test]
    fn the_last_value_counts() {
        assert_eq!(value(LINE, "scenario"), Some("smp"));
        assert_eq!(value(LINE, "scen"), None);
    }

    #[test]
    fn words_and_numbers() {
        assert!(has(LINE, "spin"));
        assert!(!has(LINE, "spi"));
        assert_eq!(number_of(LINE, "cpus", 1), 4);
        assert_eq!(number_of(LINE, "none", 7), 7);
        assert_eq!(number("0xZ"), None);
    }
}
