//! Numbers on the command line: `4096`, `0x4000_0000`, `16M`.

/// Parses a number with an optional `0x` and an optional suffix `K`, `M` or `G` (powers of 1024).
///
/// # Errors
/// When it is not one, or too large.
pub fn parse(text: &str) -> Result<u64, String> {
    let plain = text.replace('_', "");
    let (digits, shift) = match plain.as_bytes().last() {
        Some(b'K' | b'k') => (&plain[..plain.len() - 1], 10),
        Some(b'M' | b'm') => (&plain[..plain.len() - 1], 20),
        Some(b'G' | b'g') => (&plain[..plain.len() - 1], 30),
        _ => (plain.as_str(), 0),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    number
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| format!("`{text}` is not a number such as 4096, 0x4000_0000 or 16M"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn numbers_and_suffixes() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("0x4000_0000"), Ok(0x4000_0000));
        assert_eq!(parse("16M"), Ok(16 << 20));
        assert_eq!(parse("0x10k"), Ok(16 << 10));
        assert_eq!(parse("3G"), Ok(3 << 30));
    }

    #[test]
    fn what_is_no_number() {
        for text in ["", "M", "0x", "-1", "1T", "1.5M", "16MM", "17179869184G"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
