//! Which stream goes to which context: stream mapping groups (Arm IHI 0062: SMMU_SMRn,
//! SMMU_S2CRn).
//!
//! Masters may be running while groups are made and changed. A group is turned over from what it did before by one store
//! of its S2CR; a new one is complete before the store that makes it count, and overlaps with none, since a stream that
//! two groups match is refused. Neither bypass nor fault is ever written where streams are matched: a stream is refused
//! by having no group. That is also all that the hypervisors of Qualcomm's that emulate the unit leave one (Linux
//! `arm-smmu-qcom.c`, `qcom_smmu_write_s2cr`).

use super::features::Features;
use super::instance::Streams;
use super::registers::{CR0, S2CR, SMR, SMR_EXT, s2cr, smr, smr_ext};
use crate::mmio::Io;
use leasehold_hal::IommuError;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It goes to a context bank.
    Bank(usize),
    /// It is let past.
    Bypass,
    /// It is refused.
    Fault,
}

/// How a stream finds its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// SMRs with 15-bit StreamIDs.
    Match,
    /// SMRs with 16-bit StreamIDs.
    MatchExtended,
    /// The StreamID is the number of the group.
    Index,
}

/// The stream mapping groups of the unit whose global space 0 is behind `io`. They are in its registers only.
pub struct Groups<'a, I> {
    io: &'a I,
    features: Features,
    mode: Mode,
}

impl<'a, I: Io> Groups<'a, I> {
    /// As the unit has them now.
    pub fn new(io: &'a I, features: Features) -> Self {
        let mode = match (features.matches_streams(), io.at(CR0).is_set(CR0::EXIDENABLE)) {
            (false, _) => Mode::Index,
            (true, false) => Mode::Match,
            (true, true) => Mode::MatchExtended,
        };
        Self { io, features, mode }
    }

    /// The streams of group `n`, if it counts.
    fn streams(&self, n: usize) -> Option<Streams> {
        match self.mode {
            Mode::Match => {
                let smr = self.io.at(smr(n)).extract();
                smr.is_set(SMR::VALID)
                    .then(|| Streams::new(smr.read(SMR::ID) as u16, smr.read(SMR::MASK) as u16))
            }
            Mode::MatchExtended => self.io.at(s2cr(n)).is_set(S2CR::EXIDVALID).then(|| {
                let smr = self.io.at(smr_ext(n)).extract();
                Streams::new(smr.read(SMR_EXT::ID) as u16, smr.read(SMR_EXT::MASK) as u16)
            }),
            Mode::Index => Some(Streams::new(n as u16, 0)),
        }
    }

    /// What becomes of the streams of group `n`.
    fn target(&self, n: usize) -> Target {
        let s2cr = self.io.at(s2cr(n)).extract();
        match s2cr.read_as_enum(S2CR::TYPE) {
            Some(S2CR::TYPE::Value::Translate) => Target::Bank(s2cr.read(S2CR::CBNDX) as usize),
            Some(S2CR::TYPE::Value::Bypass) => Target::Bypass,
            // The fourth value is reserved.
            Some(S2CR::TYPE::Value::Fault) | None => Target::Fault,
        }
    }

    /// The groups that count.
    fn all(&self) -> impl Iterator<Item = (usize, Streams)> {
        (0..self.features.groups()).filter_map(|n| Some((n, self.streams(n)?)))
    }

    /// The first context bank to which no group leads.
    pub fn free_bank(&self) -> Option<usize> {
        let used = self.all().fold(0u128, |used, (n, _)| match self.target(n) {
            Target::Bank(bank @ 0..=127) => used | 1 << bank,
            _ => used,
        });
        (0..self.features.banks()).find(|bank| used >> bank & 1 == 0)
    }

    /// Turns on 16-bit StreamIDs if `streams` need them.
    ///
    /// That gives the registers another meaning, so it cannot be done while groups count.
    pub fn widen(&mut self, streams: &[Streams]) -> Result<(), IommuError> {
        const TOP: u16 = 1 << 15;
        let needed = streams.iter().any(|streams| streams.id & !streams.mask & TOP != 0);
        if !needed || self.mode != Mode::Match {
            return Ok(());
        }
        if !self.features.has_extended_ids() || self.all().next().is_some() {
            return Err(self.features.too_few_groups());
        }
        for n in 0..self.features.groups() {
            self.io.at(s2cr(n)).set(0);
            self.io.at(smr(n)).set(0);
        }
        self.io.at(CR0).modify(CR0::EXIDENABLE::SET);
        *self = Self::new(self.io, self.features);
        Ok(())
    }

    /// Leads every stream that is not refused now, and every one of `streams`, to `bank`, which must be ready.
    ///
    /// A group that refuses streams goes there as a whole if one of `streams` is in it.
    pub fn lead_to(&self, bank: usize, streams: &[Streams]) -> Result<(), IommuError> {
        for (n, inherited) in self.all() {
            let wanted = || streams.iter().any(|streams| streams.overlaps(inherited));
            if self.target(n) != Target::Fault || wanted() {
                self.turn(n, bank)?;
            }
        }
        if self.mode == Mode::Index {
            let outside = |streams: &Streams| streams.id & !streams.mask & !self.features.index_mask() != 0;
            return if streams.iter().any(outside) {
                Err(self.features.too_few_groups())
            } else {
                Ok(())
            };
        }
        let widths = self.widths();
        for streams in streams {
            self.place(self.fit(*streams, widths)?, bank)?;
        }
        Ok(())
    }

    /// Turns group `n` over to `bank`.
    fn turn(&self, n: usize, bank: usize) -> Result<(), IommuError> {
        let valid = match self.mode {
            Mode::MatchExtended => S2CR::EXIDVALID::SET,
            Mode::Match | Mode::Index => S2CR::EXIDVALID::CLEAR,
        };
        self.io
            .at(s2cr(n))
            .write(S2CR::TYPE::Translate + S2CR::CBNDX.val(bank as u32) + valid);
        self.check(n, self.target(n) == Target::Bank(bank))
    }

    /// What becomes of a store is read, since somebody may be below who changes it.
    fn check(&self, n: usize, as_written: bool) -> Result<(), IommuError> {
        if as_written {
            Ok(())
        } else {
            Err(IommuError::Failed(self.io.at(s2cr(n)).get()))
        }
    }

    /// The first group that does not count.
    fn free(&self) -> Option<usize> {
        (0..self.features.groups()).find(|n| self.streams(*n).is_none())
    }

    /// Which bits of SMRs are there, as ID and as MASK: found by trying, on a group that does not count (as Linux
    /// `arm_smmu_test_smr_masks`). `None` when all count, and none can be made.
    fn widths(&self) -> Option<Streams> {
        let n = self.free()?;
        let tried = |value: u32| {
            self.io.at(smr_ext(n)).set(value);
            self.io.at(smr_ext(n)).extract()
        };
        // VALID is the top bit of the mask where StreamIDs are not extended.
        let all = if self.mode == Mode::Match { 0x7fff } else { 0xffff };
        let id = tried(all).read(SMR_EXT::ID) as u16;
        let mask = tried(u32::from(id) << 16).read(SMR_EXT::MASK) as u16;
        self.io.at(smr_ext(n)).set(0);
        Some(Streams::new(id, mask))
    }

    /// `streams`, less what the unit does not look at. An error when it would have to.
    fn fit(&self, streams: Streams, widths: Option<Streams>) -> Result<Streams, IommuError> {
        let Some(widths) = widths else { return Ok(streams) };
        let fits = Streams::new(streams.id & widths.id & !streams.mask, streams.mask & widths.id);
        if streams.id & !streams.mask & !widths.id != 0 || fits.mask & !widths.mask != 0 {
            return Err(self.features.too_few_groups());
        }
        Ok(fits)
    }

    /// Makes groups for those of `wanted` that have none: splits it at whatever it overlaps with.
    fn place(&self, wanted: Streams, bank: usize) -> Result<(), IommuError> {
        let Some((_, other)) = self.all().find(|(_, other)| other.overlaps(wanted)) else {
            return self.add(wanted, bank);
        };
        // Bits that distinguish those that overlap. Without one, all have a group.
        let split = wanted.mask & !other.mask;
        if split == 0 {
            return Ok(());
        }
        // At most 16 deep.
        for half in wanted.split(1 << split.trailing_zeros()) {
            self.place(half, bank)?;
        }
        Ok(())
    }

    /// Makes a group for `streams`, none of which has one.
    fn add(&self, streams: Streams, bank: usize) -> Result<(), IommuError> {
        let n = self.free().ok_or_else(|| self.features.too_few_groups())?;
        let (id, mask) = (u32::from(streams.id), u32::from(streams.mask));
        if self.mode == Mode::MatchExtended {
            self.io
                .at(smr_ext(n))
                .write(SMR_EXT::ID.val(id) + SMR_EXT::MASK.val(mask));
            self.turn(n, bank)?;
        } else {
            self.turn(n, bank)?;
            self.io
                .at(smr(n))
                .write(SMR::VALID::SET + SMR::ID.val(id) + SMR::MASK.val(mask));
        }
        let made = self.streams(n);
        self.check(n, made.is_some_and(|made| made.covers(streams) && streams.covers(made)))
    }

    /// Refuses every stream, when those that have no group are refused.
    pub fn refuse_all(&self) {
        for n in 0..self.features.groups() {
            match self.mode {
                Mode::Match => self.io.at(smr(n)).set(0),
                Mode::MatchExtended => self.io.at(s2cr(n)).set(0),
                Mode::Index => self.io.at(s2cr(n)).write(S2CR::TYPE::Fault),
            }
        }
    }
}
