//! What was loaded into a guest, as one number.

use leasehold_memory_map::{Address, Ipa};
use sha2::{Digest as _, Sha256};

/// Bytes that are hashed at a time.
const CHUNK: usize = 256;

/// SHA-256 over all loads in their order: for each its address and its length, as 64-bit little-endian numbers, and its
/// bytes as they stand in the guest's memory.
#[derive(Clone, Debug, Default)]
pub struct LoadDigest(Option<Sha256>);

impl LoadDigest {
    /// Of nothing yet.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds a load of `len` bytes at `at`. `read` fills its second argument with what lies as many bytes behind `at` as
    /// its first says.
    pub fn add(&mut self, at: Ipa, len: u64, mut read: impl FnMut(u64, &mut [u8])) {
        let hasher = self.0.get_or_insert_with(Sha256::new);
        hasher.update(at.get().to_le_bytes());
        hasher.update(len.to_le_bytes());
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while done < len {
            let count = (len - done).min(CHUNK as u64) as usize;
            read(done, &mut chunk[..count]);
            hasher.update(&chunk[..count]);
            done += count as u64;
        }
    }

    /// The number.
    pub fn finish(&self) -> [u8; 32] {
        self.0.clone().unwrap_or_default().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digest: &LoadDigest) -> String {
        digest.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn nothing_is_the_digest_of_no_bytes() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&LoadDigest::new()), empty);
    }

    #[test]
    fn address_length_and_bytes_all_count() {
        let of = |at, bytes: &[u8]| {
            let mut digest = LoadDigest::new();
            digest.add(Ipa::new(at), bytes.len() as u64, |offset, into| {
                into.copy_from_slice(&bytes[offset as usize..][..into.len()]);
            });
            hex(&digest)
        };
        // sha256sum of the 16 bytes of the two numbers and "abc".
        assert_eq!(
            of(0x4000_0000, b"abc"),
            "0765144afb4762a6a8b81bb5aea84a409b97e0da0cc820c0288272dde69c5a5a"
        );
        assert_ne!(of(0x4000_0000, b"abc"), of(0x4000_0000, b"abd"));
        assert_ne!(of(0x4000_0000, &[1; 700]), of(0x4000_1000, &[1; 700]));
        assert_ne!(of(0x4000_0000, &[1; 700]), of(0x4000_0000, &[1; 699]));
    }
}
