//! A GICv3's distributor and redistributors that act: they sleep and wake, and with LPIs enabled they are the bus master
//! that they are in life. They panic at an access of a size that IHI 0069 does not have.

use super::registers::{
    FRAME, GICD_CTLR, GICD_PIDR2, GICR_CLRLPIR, GICR_CTLR, GICR_ICENABLER0, GICR_IGROUPR0, GICR_INVALLR, GICR_INVLPIR,
    GICR_IPRIORITYR, GICR_ISENABLER0, GICR_MOVALLR, GICR_MOVLPIR, GICR_PENDBASER, GICR_PIDR2, GICR_PROPBASER,
    GICR_SETLPIR, GICR_TYPER, GICR_WAKER, SGI_BASE, VLPI_BASE,
};
use crate::mmio::{Io, Width};
use leasehold_memory_map::{PhysAddr, PhysRange};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

/// How a model deviates from the plainest one.
#[derive(Clone, Default)]
pub struct Quirks {
    /// GICv4: virtual LPIs, so redistributors are farther apart.
    pub vlpis: bool,
    /// EnableLPIs is set at reset.
    pub lpis_enabled: bool,
    /// EnableLPIs cannot be cleared.
    pub lpis_stuck: bool,
    /// Never wakes.
    pub sleepless: bool,
    /// No redistributor is marked as the last.
    pub unmarked: bool,
    /// PIDR2.
    pub pidr2: Option<u32>,
}

/// One CPU's redistributor: its registers.
#[derive(Clone, Default)]
pub struct Redistributor {
    /// Aff3 to Aff0 of its CPU, a byte each.
    pub affinity: u32,
    /// GICR_CTLR.
    pub ctlr: u32,
    /// GICR_WAKER.
    pub waker: u32,
    /// GICR_PROPBASER.
    pub propbaser: u64,
    /// GICR_PENDBASER.
    pub pendbaser: u64,
    /// GICR_IGROUPR0.
    pub group: u32,
    /// GICR_ISENABLER0.
    pub enabled: u32,
    /// GICR_IPRIORITYR, a byte for each interrupt.
    pub priorities: Vec<u8>,
    polls_to_wake: u32,
}

#[derive(Default)]
struct State {
    quirks: Quirks,
    distributor_ctlr: u32,
    distributor_polls: u32,
    redistributors: Vec<Redistributor>,
    /// Accesses of LPI tables: the addresses.
    mastered: Vec<u64>,
}

impl State {
    fn stride(&self) -> usize {
        if self.quirks.vlpis { 2 * VLPI_BASE } else { VLPI_BASE }
    }

    /// With LPIs enabled, a redistributor may access its tables at any time.
    fn act(&mut self, cpu: usize) {
        let redistributor = &self.redistributors[cpu];
        if redistributor.ctlr & 1 != 0 {
            self.mastered
                .extend([redistributor.propbaser, redistributor.pendbaser].map(|base| base & 0xf_ffff_ffff_f000));
        }
    }

    fn typer(&self, cpu: usize) -> u64 {
        let last = cpu + 1 == self.redistributors.len() && !self.quirks.unmarked;
        // PLPIS, DirectLPI and, on GICv4, VLPIS, Dirty, RVPEID and VSGI.
        let lpis = 0b1001 | if self.quirks.vlpis { 0x400_0086 } else { 0 };
        u64::from(self.redistributors[cpu].affinity) << 32 | (cpu as u64) << 8 | u64::from(last) << 4 | lpis
    }

    fn read_control(&mut self, cpu: usize, offset: usize, bytes: usize) -> u64 {
        let typer = self.typer(cpu);
        let pidr2 = self.quirks.pidr2.unwrap_or(0x3b);
        let sleepless = self.quirks.sleepless;
        let redistributor = &mut self.redistributors[cpu];
        match (offset, bytes) {
            (_, 4) if offset == GICR_CTLR.offset() => u64::from(redistributor.ctlr | 0b110),
            (_, 8) if offset == GICR_TYPER.offset() => typer,
            (_, 4) if offset == GICR_TYPER.offset() => typer & 0xffff_ffff,
            (_, 4) if offset == GICR_TYPER.offset() + 4 => typer >> 32,
            (_, 4) if offset == GICR_WAKER.offset() => {
                if redistributor.waker & 2 == 0 && redistributor.polls_to_wake > 0 && !sleepless {
                    redistributor.polls_to_wake -= 1;
                    if redistributor.polls_to_wake == 0 {
                        redistributor.waker &= !4;
                    }
                }
                u64::from(redistributor.waker)
            }
            (_, 4) if offset == GICR_PIDR2.offset() => u64::from(pidr2),
            (0x70..0x80, 4 | 8) => 0xdead_0000_dead_0000 >> (8 * (offset & 4)),
            (_, 4) => offset as u64,
            _ => panic!("reads {bytes} bytes of GICR at {offset:#x}"),
        }
    }

    fn write_control(&mut self, cpu: usize, offset: usize, bytes: usize, value: u64) {
        let stuck = self.quirks.lpis_stuck;
        let redistributor = &mut self.redistributors[cpu];
        let double = |base: usize| (base..base + 8).contains(&offset) && (bytes == 4 || (bytes == 8 && offset == base));
        if bytes == 4 && offset == GICR_CTLR.offset() {
            let kept = if stuck { redistributor.ctlr & 1 } else { 0 };
            redistributor.ctlr = value as u32 | kept;
        } else if bytes == 4 && offset == GICR_WAKER.offset() {
            redistributor.waker = value as u32 & 2 | redistributor.waker & 4;
        } else if double(GICR_PROPBASER.offset()) {
            redistributor.propbaser = value;
        } else if double(GICR_PENDBASER.offset()) {
            redistributor.pendbaser = value;
        } else if [
            GICR_SETLPIR,
            GICR_CLRLPIR,
            GICR_INVLPIR,
            GICR_INVALLR,
            GICR_MOVLPIR,
            GICR_MOVALLR,
        ]
        .iter()
        .any(|register| double(register.offset()))
        {
            self.mastered.push(value);
        } else {
            assert_eq!(bytes, 4, "writes {bytes} bytes of GICR at {offset:#x}");
        }
    }

    fn sgi(&mut self, cpu: usize, offset: usize, bytes: usize, value: u64) {
        let redistributor = &mut self.redistributors[cpu];
        match (offset, bytes) {
            (_, 4) if offset == GICR_IGROUPR0.offset() => redistributor.group = value as u32,
            (_, 4) if offset == GICR_ISENABLER0.offset() => redistributor.enabled |= value as u32,
            (_, 4) if offset == GICR_ICENABLER0.offset() => redistributor.enabled &= !(value as u32),
            (_, 1) if (GICR_IPRIORITYR..GICR_IPRIORITYR + 32).contains(&offset) => {
                redistributor.priorities[offset - GICR_IPRIORITYR] = value as u8;
            }
            _ => panic!("writes {bytes} bytes of SGI_base at {offset:#x}"),
        }
    }
}

/// The model; clones are handles of the same controller.
#[derive(Clone)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    /// A controller with a redistributor for each of these affinities, after reset: asleep.
    #[must_use]
    pub fn new(affinities: &[u32], quirks: Quirks) -> Self {
        let redistributors = affinities.iter().map(|affinity| Redistributor {
            affinity: *affinity,
            ctlr: u32::from(quirks.lpis_enabled),
            waker: 0b110,
            priorities: std::vec![0; 32],
            polls_to_wake: 3,
            ..Redistributor::default()
        });
        Self(Arc::new(Mutex::new(State {
            redistributors: redistributors.collect(),
            quirks,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GICD.
    #[must_use]
    pub fn distributor(&self) -> Frames {
        Frames(self.clone(), true)
    }

    /// The redistributors' registers, and where they are.
    ///
    /// # Panics
    /// When there are more of them than addresses.
    #[must_use]
    pub fn region(&self) -> (Frames, PhysRange) {
        let state = self.state();
        let len = state.stride() * state.redistributors.len();
        let range = PhysRange::new(PhysAddr::new(0x80a_0000), len as u64).unwrap();
        (Frames(self.clone(), false), range)
    }

    /// The registers of one redistributor.
    #[must_use]
    pub fn redistributor(&self, cpu: usize) -> Redistributor {
        self.state().redistributors[cpu].clone()
    }

    /// GICD_CTLR.
    #[must_use]
    pub fn distributor_ctlr(&self) -> u32 {
        self.state().distributor_ctlr
    }

    /// The addresses at which it has accessed memory.
    #[must_use]
    pub fn mastered(&self) -> Vec<u64> {
        self.state().mastered.clone()
    }
}

/// GICD (true) or all of GICR (false).
pub struct Frames(Model, bool);

impl Io for Frames {
    fn load<T: Width>(&self, offset: usize) -> T {
        let mut state = self.0.state();
        if self.1 {
            assert_eq!(T::BYTES, 4);
            return T::truncate(match offset {
                _ if offset == GICD_PIDR2.offset() => 0x3b,
                _ if offset == GICD_CTLR.offset() => {
                    let pending = state.distributor_polls > 0;
                    state.distributor_polls = state.distributor_polls.saturating_sub(1);
                    u64::from(state.distributor_ctlr) | u64::from(pending) << 31
                }
                _ => panic!("reads GICD at {offset:#x}"),
            });
        }
        let (cpu, offset) = (offset / state.stride(), offset % state.stride());
        assert!(offset < FRAME, "reads only control frames");
        let value = state.read_control(cpu, offset, T::BYTES);
        state.act(cpu);
        T::truncate(value)
    }

    fn store<T: Width>(&self, offset: usize, value: T) {
        let mut state = self.0.state();
        let value = value.widen();
        if self.1 {
            assert_eq!((T::BYTES, offset), (4, GICD_CTLR.offset()));
            assert_eq!(state.distributor_polls, 0, "writes while a write is pending");
            state.distributor_ctlr = value as u32;
            state.distributor_polls = 2;
            return;
        }
        let (cpu, offset) = (offset / state.stride(), offset % state.stride());
        match offset.checked_sub(SGI_BASE) {
            None => state.write_control(cpu, offset, T::BYTES, value),
            Some(offset) => state.sgi(cpu, offset, T::BYTES, value),
        }
        state.act(cpu);
    }

    fn publish(&self) {}

    fn observe(&self) {}
}
