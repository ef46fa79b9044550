//! A lend and a reclaim by the real code, on the twin's tables and SMMUs.

use crate::reach::{Ranges, Tried, joined};
use crate::twin::Twin;
use leasehold_hyp_core::board::Board;
use leasehold_hyp_core::boot::Containment;
use leasehold_hyp_core::{Constituent, Step, VmId};
use leasehold_memory_map::{Address, PAGE_SIZE, PhysAddr, PhysRange, RegionKind};
use std::fmt::Write as _;

/// 2 MiB.
const BLOCK: u64 = 2 << 20;

impl<B: Board> Twin<B> {
    /// Lends a page, an aligned 2 MiB and a page again to a VM, and takes them back: at each step CPUs and devices
    /// reach what is the host's and nothing else. Returns what was done.
    ///
    /// # Errors
    /// What went wrong.
    ///
    /// # Panics
    /// When the board has not booted.
    pub fn lend_and_reclaim(&mut self) -> Result<String, String> {
        let booted = self.booted.as_ref().expect("a board that has booted");
        let containment = booted.containment;
        let hosts = self.hosts();
        let lent = self.pieces().ok_or("there is no RAM to lend")?;
        let constituents: Vec<_> = lent
            .iter()
            .map(|range| Constituent {
                address: range.start().get(),
                pages: (range.len() / PAGE_SIZE) as u32,
            })
            .collect();
        let guest = VmId::guest(0).ok_or("there is no guest")?;
        let (ownership, el2) = self.hands();
        let fail = |what: &str, error: &dyn std::fmt::Debug| format!("{what}: {error:?}");
        ownership
            .create_vm(&el2, guest)
            .map_err(|error| fail("no VM", &error))?;
        let handle = ownership
            .lend(&el2, VmId::HOST, guest, constituents)
            .map_err(|error| fail("cannot lend", &error))?;
        let without = without(&hosts, &lent);
        let during = self.check_reach(&without)?;
        let (ownership, el2) = self.hands();
        while ownership
            .reclaim(&el2, VmId::HOST, handle)
            .map_err(|error| fail("cannot reclaim", &error))?
            == Step::Again
        {}
        let after = self.check_reach(&hosts)?;
        let mut text = String::new();
        for range in &lent {
            let _ = writeln!(text, "  {:#x}-{:#x}", range.start().get(), range.end().get());
        }
        let _ = writeln!(text, "  while lent, nobody's: {}", tried(during));
        let _ = writeln!(text, "  taken back, the host's: {}", tried(after));
        if containment == Containment::Refused {
            text.push_str("  (calls by the host are refused all the same: see its log)\n");
        }
        Ok(text)
    }

    /// A page, an aligned 2 MiB and a page of the last free RAM.
    fn pieces(&self) -> Option<[PhysRange; 3]> {
        let booted = self.booted.as_ref().ok()?;
        let regions = booted.map.regions().iter().rev();
        let large = |range: &PhysRange| range.len() >= 4 * BLOCK;
        let free = regions
            .filter(|region| region.kind == RegionKind::Ram)
            .map(|region| region.range)
            .find(large)?;
        let block = (free.end().get() / BLOCK - 2) * BLOCK;
        let piece = |start, len| PhysRange::new(PhysAddr::new(start), len).ok();
        Some([
            piece(block - 2 * PAGE_SIZE, PAGE_SIZE)?,
            piece(block, BLOCK)?,
            piece(block + BLOCK + PAGE_SIZE, PAGE_SIZE)?,
        ])
    }
}

/// How many accesses of devices that took, in words.
#[must_use]
pub fn tried(tried: Tried) -> String {
    format!(
        "CPUs by a walk; {} accesses of devices granted, {} refused",
        tried.granted, tried.refused
    )
}

/// What is left of `ranges` without `taken`.
fn without(ranges: &Ranges, taken: &[PhysRange]) -> Ranges {
    let mut left = ranges.clone();
    for (start, end) in joined(taken.iter().copied()) {
        left = left
            .into_iter()
            .flat_map(|(from, to)| [(from, to.min(start)), (from.max(end), to)])
            .filter(|(from, to)| from < to)
            .collect();
        left.dedup();
    }
    left.sort_unstable();
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_left_out_wherever_it_is() {
        let range = |start: u64, end: u64| PhysRange::between(PhysAddr::new(start), PhysAddr::new(end)).unwrap();
        let ranges = vec![(0x1000, 0x9000), (0xa000, 0xb000)];
        assert_eq!(without(&ranges, &[]), ranges);
        assert_eq!(
            without(&ranges, &[range(0x3000, 0x4000), range(0xa000, 0xb000)]),
            [(0x1000, 0x3000), (0x4000, 0x9000)]
        );
        assert_eq!(without(&ranges, &[range(0x1000, 0xa000)]), [(0xa000, 0xb000)]);
    }
}
