//! GICv3 (Arm IHI 0069), and what GICv4 shares with it.
//!
//! Distributor and the redistributors' SGI frames are the host's. The control frame of each redistributor is trapped and
//! filtered (`filter.rs`), the ITS and the frames for virtual LPIs are hidden, so that the host cannot make the
//! controller read or write memory.
//!
//! What remains visible: GICD is not trapped, so GICD_TYPER.LPIS (and num_LPIs) still read as the hardware has them. An
//! LPI needs an ITS or a redistributor that take one, and has neither. Nothing in GICD names memory.
//!
//! Where GICR_TYPER.VLPIS is set (GICv4), redistributors are 256 KiB apart, and the host, who does not see the bit, must
//! be told so: see [`Gicv3::stride`].

mod filter;
mod host;
mod icc;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod registers;
#[cfg(test)]
mod tests;

use crate::cpu;
use crate::mmio::{Io, Mmio, Window};
use crate::wait;
use heapless::Vec;
use leasehold_hal::{InterruptController, InterruptError};
use leasehold_memory_map::{Address, PhysRange};
use registers::{
    FRAME, GICD_PIDR2, GICR_CTLR, GICR_ICENABLER0, GICR_ISENABLER0, GICR_PIDR2, GICR_TYPER, GICR_WAKER, PIDR2,
    SGI_BASE, VLPI_BASE,
};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// How many CPUs a machine may have.
pub const MAX_CPUS: usize = 16;
/// How many redistributor regions, and how many ITSs.
pub const MAX_REGIONS: usize = 4;

/// One CPU's redistributor.
#[derive(Clone, Copy)]
struct Redistributor {
    region: usize,
    /// RD_base behind the region's base.
    rd_base: usize,
    /// Aff3 to Aff0, a byte each.
    affinity: u32,
}

/// A GICv3.
pub struct Gicv3<I = Mmio> {
    distributor: I,
    regions: Vec<I, MAX_REGIONS>,
    redistributors: Vec<Redistributor, MAX_CPUS>,
    stride: usize,
    /// RD_base of each redistributor, in the same order.
    trapped: Vec<PhysRange, MAX_CPUS>,
    hidden: Vec<PhysRange, { MAX_CPUS + MAX_REGIONS }>,
}

impl Gicv3<Mmio> {
    /// The controller with GICD at `distributor`, GICR in `redistributors` and ITSs at `its`.
    ///
    /// # Errors
    /// As [`over`](Self::over).
    ///
    /// # Safety
    /// The ranges are those of a GIC; all but `its` are mapped at their own addresses as device memory. Who else drives
    /// it agrees with the caller about it.
    pub unsafe fn new(
        distributor: PhysRange,
        redistributors: &[PhysRange],
        its: &[PhysRange],
    ) -> Result<Self, InterruptError> {
        let regions = redistributors.iter().map(|range| {
            // SAFETY: as the caller vouches; nothing here lets the controller access memory.
            (unsafe { Mmio::identity(*range) }, *range)
        });
        // SAFETY: likewise.
        Self::over(unsafe { Mmio::identity(distributor) }, regions, its)
    }
}

impl<I: Io> Gicv3<I> {
    /// The controller with GICD behind `distributor`, and each of `regions` with where it is. Looks at every
    /// redistributor, changes none.
    ///
    /// # Errors
    /// [`InterruptError::Unidentified`] with GICD_PIDR2 or GICR_PIDR2; [`InterruptError::TooManyCpus`], also for too many
    /// regions or ITSs; [`InterruptError::NoFrame`] when there is no redistributor at all.
    pub fn over(
        distributor: I,
        regions: impl IntoIterator<Item = (I, PhysRange)>,
        its: &[PhysRange],
    ) -> Result<Self, InterruptError> {
        identify(distributor.at(GICD_PIDR2).get())?;
        let mut gic = Self {
            distributor,
            regions: Vec::new(),
            redistributors: Vec::new(),
            stride: VLPI_BASE,
            trapped: Vec::new(),
            hidden: Vec::from_slice(its).map_err(|_| InterruptError::TooManyCpus(MAX_REGIONS))?,
        };
        for (io, range) in regions {
            gic.walk(&io, range)?;
            gic.regions
                .push(io)
                .map_err(|_| InterruptError::TooManyCpus(MAX_REGIONS))?;
        }
        if gic.redistributors.is_empty() {
            return Err(InterruptError::NoFrame);
        }
        Ok(gic)
    }

    /// Notes the redistributors of one region, up to the one marked as last or the region's end.
    fn walk(&mut self, io: &I, range: PhysRange) -> Result<(), InterruptError> {
        let full = |_| InterruptError::TooManyCpus(MAX_CPUS);
        let region = self.regions.len();
        let len = usize::try_from(range.len()).unwrap_or(usize::MAX);
        let mut rd_base = 0;
        while len - rd_base >= VLPI_BASE {
            let frame = Window::new(io, rd_base, FRAME);
            identify(frame.at(GICR_PIDR2).get())?;
            let typer = frame.at(GICR_TYPER).extract();
            self.redistributors
                .push(Redistributor {
                    region,
                    rd_base,
                    affinity: typer.read(GICR_TYPER::Affinity_Value) as u32,
                })
                .map_err(|_| full(()))?;
            self.trapped.push(part(range, rd_base, FRAME)?).map_err(|_| full(()))?;
            if typer.is_set(GICR_TYPER::VLPIS) {
                self.stride = 2 * VLPI_BASE;
                self.hidden
                    .push(part(range, rd_base + VLPI_BASE, VLPI_BASE)?)
                    .map_err(|_| full(()))?;
            }
            if typer.is_set(GICR_TYPER::Last) {
                break;
            }
            rd_base += self.stride;
            if rd_base >= len {
                break;
            }
        }
        Ok(())
    }

    /// How far apart redistributors are, in bytes: what the host's device tree has to say as `redistributor-stride`
    /// where it is not 128 KiB.
    #[must_use]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// How many CPUs have a redistributor.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.redistributors.len()
    }

    fn frame(&self, redistributor: &Redistributor, base: usize) -> Option<Window<'_, I>> {
        let io = self.regions.get(redistributor.region)?;
        Some(Window::new(io, redistributor.rd_base.checked_add(base)?, FRAME))
    }

    /// The calling CPU's frame, `base` behind its RD_base.
    fn own_frame(&self, base: usize) -> Option<Window<'_, I>> {
        let mpidr = cpu::affinity();
        let affinity = (mpidr >> 8) as u32 & 0xff00_0000 | mpidr as u32 & 0x00ff_ffff;
        let own = self.redistributors.iter().find(|known| known.affinity == affinity)?;
        self.frame(own, base)
    }

    fn set_enabled(&self, intid: u32, enabled: bool) {
        if let Some(frame) = self.own_frame(SGI_BASE) {
            let register = if enabled { GICR_ISENABLER0 } else { GICR_ICENABLER0 };
            frame.at(register).set(1 << intid);
        }
    }
}

fn identify(pidr2: u32) -> Result<(), InterruptError> {
    let revision = PIDR2::ArchRev.read(pidr2);
    let known = [PIDR2::ArchRev::Value::GICv3 as u32, PIDR2::ArchRev::Value::GICv4 as u32];
    if known.contains(&revision) {
        Ok(())
    } else {
        Err(InterruptError::Unidentified(pidr2))
    }
}

fn part(range: PhysRange, offset: usize, len: usize) -> Result<PhysRange, InterruptError> {
    let start = range.start().checked_add(offset as u64);
    start
        .and_then(|start| PhysRange::new(start, len as u64).ok())
        .ok_or(InterruptError::NoFrame)
}

/// Wakes a redistributor, so that it forwards interrupts to its CPU (IHI 0069, 11.1). From the Non-secure state of two,
/// GICR_WAKER reads as zero: firmware has done it.
fn wake(frame: &impl Io) -> Result<(), InterruptError> {
    frame.at(GICR_WAKER).modify(GICR_WAKER::ProcessorSleep::CLEAR);
    Ok(wait::until(|| {
        !frame.at(GICR_WAKER).is_set(GICR_WAKER::ChildrenAsleep)
    })?)
}

/// Takes tables in memory from a redistributor that a loader has given some. May not be possible (12.11.2: clearing
/// EnableLPIs is IMPLEMENTATION DEFINED before GICR_CTLR.CES).
fn disable_lpis(frame: &impl Io) -> Result<(), InterruptError> {
    if !frame.at(GICR_CTLR).is_set(GICR_CTLR::EnableLPIs) {
        return Ok(());
    }
    frame.at(GICR_CTLR).modify(GICR_CTLR::EnableLPIs::CLEAR);
    wait::until(|| !frame.at(GICR_CTLR).is_set(GICR_CTLR::RWP))?;
    if frame.at(GICR_CTLR).is_set(GICR_CTLR::EnableLPIs) {
        return Err(InterruptError::LpisEnabled);
    }
    Ok(())
}

impl<I: Io + Send + Sync> InterruptController for Gicv3<I> {
    fn init_cpu(&self) -> Result<(), InterruptError> {
        let frame = self.own_frame(0).ok_or(InterruptError::NoFrame)?;
        disable_lpis(&frame)?;
        wake(&frame)
    }

    fn set_private_enabled(&self, intid: u32, enabled: bool) {
        if (16..32).contains(&intid) {
            self.set_enabled(intid, enabled);
        }
    }

    fn read_trapped(&self, frame: usize, offset: u64, size: u8) -> u64 {
        let redistributor = self.redistributors.get(frame);
        redistributor
            .and_then(|redistributor| self.frame(redistributor, 0))
            .map_or(0, |frame| filter::read(&frame, FRAME, offset, size))
    }

    fn write_trapped(&self, frame: usize, offset: u64, size: u8, value: u64) -> bool {
        let redistributor = self.redistributors.get(frame);
        redistributor
            .and_then(|redistributor| self.frame(redistributor, 0))
            .is_some_and(|frame| filter::write(&frame, FRAME, offset, size, value))
    }

    fn trapped_frames(&self) -> &[PhysRange] {
        &self.trapped
    }

    fn hidden(&self) -> &[PhysRange] {
        &self.hidden
    }
}
