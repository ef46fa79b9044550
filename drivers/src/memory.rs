//! A machine's memory as EL2 takes it: what moves it between masters, if anything does, and what says how it is.

use crate::llcc::{EccError, Llcc, Ram};
use crate::mmio::{Io, Mmio};
use leasehold_hal::{AssignError, MemoryController, MemoryFault, MemoryOwner, MemoryPart};
use leasehold_memory_map::{PageRange, PhysAddr};

/// Both together.
#[derive(Debug)]
pub struct Memory<M, I = Mmio> {
    mover: Option<M>,
    cache: Option<Llcc<I>>,
}

impl<M: MemoryController, I: Io> Memory<M, I> {
    /// `mover` moves memory, `cache` is in front of it: where firmware has locked its error registers it is of no use here.
    #[must_use]
    pub fn new(mover: Option<M>, cache: Option<Llcc<I>>) -> Self {
        Self { mover, cache }
    }
}

impl<M: MemoryController, I: Io + Send> MemoryController for Memory<M, I> {
    const MOVES: bool = M::MOVES;

    fn assign(&mut self, ranges: &[PageRange<PhysAddr>], to: MemoryOwner) -> Result<(), AssignError> {
        self.mover.as_mut().map_or(Ok(()), |mover| mover.assign(ranges, to))
    }

    fn check(&mut self, report: &mut dyn FnMut(MemoryFault)) {
        if let Some(mover) = &mut self.mover {
            mover.check(report);
        }
        if let Some(cache) = &mut self.cache {
            // A cache whose registers are locked, or that is another than the SoC's description says, is not looked at.
            let _ = cache.check(|error| report(fault(&error)));
        }
    }
}

fn fault(error: &EccError) -> MemoryFault {
    MemoryFault {
        bank: error.bank,
        part: match error.ram {
            Ram::Tag => MemoryPart::CacheTags,
            Ram::Data => MemoryPart::CacheData,
        },
        corrected: error.corrected,
        count: error.count,
        ways: error.ways,
        syndrome: error.syndromes().first().copied().unwrap_or(0),
    }
}
