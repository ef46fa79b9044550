//! What of a SoC's registers the host sees: all of its windows, less what is EL2's.

use crate::description::{Gic, SocDescription, Uart};
use heapless::Vec;
use leasehold_hal::SocError;
use leasehold_memory_map::{Address, PAGE_SIZE, PhysRange};

/// The most windows that are left.
pub const MAX_WINDOWS: usize = 64;
/// The most ranges that are hidden.
pub const MAX_HIDDEN: usize = 48;

/// One of a redistributor's frames (Arm IHI 0069, 12.10).
const FRAME: u64 = 0x1_0000;

/// What the host sees, and what nobody sees.
#[derive(Debug)]
pub struct Windows {
    /// Sorted, apart, of whole pages.
    pub seen: Vec<PhysRange, MAX_WINDOWS>,
    /// Of whole pages.
    pub hidden: Vec<PhysRange, MAX_HIDDEN>,
}

impl Windows {
    /// Of `soc`, where EL2 logs on `log`.
    pub fn of(soc: &SocDescription, log: Option<&Uart>) -> Result<Self, SocError> {
        let mut windows = Self {
            seen: Vec::new(),
            hidden: Vec::new(),
        };
        for window in soc.windows {
            windows.seen.push(*window).map_err(|_| too_many(*window))?;
        }
        for unit in soc.smmus.iter().filter(|unit| !unit.is_hosts()) {
            windows.hide(unit.registers())?;
        }
        for registers in soc.withheld.iter().flat_map(|withheld| withheld.registers) {
            windows.hide(*registers)?;
        }
        if let Some(uart) = log {
            windows.hide(uart.block.first())?;
        }
        windows.hide_gic(soc)?;
        Ok(windows)
    }

    fn hide_gic(&mut self, soc: &SocDescription) -> Result<(), SocError> {
        match &soc.gic {
            Gic::V2 { .. } => {
                let frames = soc.gic.frames_v2().into_iter().flatten();
                frames.skip(2).try_for_each(|frame| self.hide(frame))
            }
            Gic::V3 { block, stride, its, .. } => {
                its.iter().try_for_each(|its| self.hide(its.first()))?;
                self.hide_redistributors(block.reg[1], *stride, soc.cpus.affinities.len() as u64)
            }
        }
    }

    /// Of each redistributor the host sees the frame of SGIs and PPIs. The control frame is trapped; what is behind those
    /// two is for virtual LPIs.
    fn hide_redistributors(&mut self, region: PhysRange, stride: u64, cpus: u64) -> Result<(), SocError> {
        for cpu in 0..cpus {
            self.cut(part(region, cpu * stride, FRAME)?)?;
            if stride > 2 * FRAME {
                self.hide(part(region, cpu * stride + 2 * FRAME, stride - 2 * FRAME)?)?;
            }
        }
        match region.len().checked_sub(cpus * stride) {
            None => Err(SocError::Mismatch(region.start().get())),
            Some(0) => Ok(()),
            Some(rest) => self.hide(part(region, cpus * stride, rest)?),
        }
    }

    /// Hides the pages of `registers`.
    fn hide(&mut self, registers: PhysRange) -> Result<(), SocError> {
        let pages = registers.page_cover().ok_or(too_many(registers))?;
        // Units lie in what is withheld with them.
        if self.hidden.iter().any(|hidden| hidden.covers(&pages)) {
            return Ok(());
        }
        self.hidden.push(pages).map_err(|_| too_many(pages))?;
        self.cut(pages)
    }

    /// Takes `pages` from what is seen.
    fn cut(&mut self, pages: PhysRange) -> Result<(), SocError> {
        debug_assert!(pages.start().is_aligned(PAGE_SIZE));
        let mut left = Vec::new();
        for window in &self.seen {
            let before = PhysRange::between(window.start(), pages.start().min(window.end()));
            let behind = PhysRange::between(pages.end().max(window.start()), window.end());
            for part in [before, behind].into_iter().flatten() {
                left.push(part).map_err(|_| too_many(pages))?;
            }
        }
        self.seen = left;
        Ok(())
    }
}

fn part(range: PhysRange, offset: u64, len: u64) -> Result<PhysRange, SocError> {
    let start = range.start().checked_add(offset);
    let part = start.and_then(|start| PhysRange::new(start, len).ok());
    part.filter(|part| range.covers(part))
        .ok_or(SocError::Mismatch(range.start().get()))
}

fn too_many(range: PhysRange) -> SocError {
    SocError::Mismatch(range.start().get())
}
