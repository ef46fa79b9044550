//! From whatever the unit was left doing to refusing every stream, without letting one past on the way.

use super::layout::{Layout, StreamTable, TABLE_BYTES};
use super::queue::Position;
use super::registers::{
    CMDQ_BASE, CMDQ_CONS, CMDQ_PROD, CR0, CR0ACK, CR1, CR2, EVENTQ_BASE, EVENTQ_CONS, EVENTQ_IRQ_CFG0, EVENTQ_PROD,
    GBPA, GERROR, GERROR_IRQ_CFG0, GERRORN, IRQ_CTRL, IRQ_CTRLACK, PRIQ_IRQ_CFG0, QUEUE_BASE, STRTAB_BASE,
    STRTAB_BASE_CFG,
};
use super::structures::{self, L1STD_BYTES, STE_BYTES};
use super::{Aborting, Device, Features, Found, Memory, command};
use crate::mmio::Io;
use crate::wait::{self, TimedOut};
use leasehold_hal::{IommuError, SocError};
use leasehold_memory_map::Address;
use tock_registers::fields::FieldValue;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// Why a unit could not be made to refuse every stream, or, refusing them, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ResetError {
    /// What went wrong. After [`IommuError::Unsupported`] every stream is refused; after another error perhaps not.
    Iommu(IommuError),
    /// Every stream is refused. The unit needs this many bytes of memory, aligned to that many, and has less.
    Memory(usize),
}

impl From<IommuError> for ResetError {
    fn from(error: IommuError) -> Self {
        Self::Iommu(error)
    }
}

impl From<TimedOut> for ResetError {
    fn from(error: TimedOut) -> Self {
        Self::Iommu(error.into())
    }
}

impl From<ResetError> for SocError {
    fn from(error: ResetError) -> Self {
        match error {
            ResetError::Iommu(error) => Self::Iommu(error),
            ResetError::Memory(bytes) => Self::IommuMemory(bytes),
        }
    }
}

/// The fields of CR0 that this SMMU acknowledges (Arm IHI 0070, 6.3, SMMU_CR0: reserved fields are not reflected). VMW
/// and the like are not used, and are zero after reset.
fn fields() -> FieldValue<u32, CR0::Register> {
    CR0::ATSCHK::SET + CR0::CMDQEN::SET + CR0::EVENTQEN::SET + CR0::PRIQEN::SET + CR0::SMMUEN::SET
}

/// Lets the unit refuse what reaches it while it is disabled, and waits until that is so (SMMU_GBPA, update procedure).
fn abort_when_disabled(io: &impl Io) -> Result<(), IommuError> {
    let settled = || wait::until(|| !io.at(GBPA).is_set(GBPA::Update));
    settled()?;
    io.at(GBPA).modify(GBPA::ABORT::SET + GBPA::Update::SET);
    settled()?;
    let gbpa = io.at(GBPA).extract();
    if gbpa.is_set(GBPA::ABORT) {
        Ok(())
    } else {
        Err(IommuError::Failed(gbpa.get()))
    }
}

/// Waits until CR0 has taken effect.
fn settle(io: &impl Io) -> Result<(), TimedOut> {
    let mask = fields().value;
    wait::until(|| (io.at(CR0).get() ^ io.at(CR0ACK).get()) & mask == 0)
}

/// Turns everything off. A change of a field that is still under way must not be changed again, hence the first wait.
fn disable(io: &impl Io, features: &Features) -> Result<(), TimedOut> {
    settle(io)?;
    io.at(CR0).set(0);
    settle(io)?;
    io.at(IRQ_CTRL).set(0);
    wait::until(|| io.at(IRQ_CTRLACK).get() == 0)?;
    // A message is a write to memory, and its address is whatever it is until somebody says none.
    if features.has_messages() {
        io.at(GERROR_IRQ_CFG0).set(0);
        io.at(EVENTQ_IRQ_CFG0).set(0);
        if features.has_pri() {
            io.at(PRIQ_IRQ_CFG0).set(0);
        }
    }
    Ok(())
}

/// Turns on what `fields` says, besides what is on.
fn enable(io: &impl Io, fields: FieldValue<u32, CR0::Register>) -> Result<(), TimedOut> {
    io.at(CR0).modify(fields);
    settle(io)
}

/// Fills the tables so that every stream is refused, and leads nowhere.
fn refuse_all(memory: &Memory<impl Io>, layout: &Layout) {
    if let StreamTable::TwoLevel { bits, split } = layout.table {
        let descriptor = structures::l1std(memory.address(layout.entries), split);
        for n in 0..1 << (bits - split) {
            memory.write(layout.descriptors + n * L1STD_BYTES, [descriptor]);
        }
    }
    for n in 0..layout.table.entries() {
        memory.write(layout.entries + n * STE_BYTES, structures::abort());
    }
    for n in 0..TABLE_BYTES / 8 {
        memory.write(layout.top + 8 * n, [0]);
    }
    memory.io.publish();
}

/// Tells the unit, which is disabled, where everything is.
fn configure(io: &impl Io, memory: &Memory<impl Io>, layout: &Layout) {
    io.at(CR1).write(
        CR1::TABLE_SH::InnerShareable
            + CR1::TABLE_OC::WriteBack
            + CR1::TABLE_IC::WriteBack
            + CR1::QUEUE_SH::InnerShareable
            + CR1::QUEUE_OC::WriteBack
            + CR1::QUEUE_IC::WriteBack,
    );
    // EL2 says by command what is to be forgotten.
    io.at(CR2).write(CR2::PTM::SET + CR2::RECINVSID::SET);
    let (base, config) = match layout.table {
        StreamTable::Linear { bits } => (
            layout.entries,
            STRTAB_BASE_CFG::FMT::Linear + STRTAB_BASE_CFG::LOG2SIZE.val(u32::from(bits)),
        ),
        StreamTable::TwoLevel { bits, split } => (
            layout.descriptors,
            STRTAB_BASE_CFG::FMT::TwoLevel
                + STRTAB_BASE_CFG::SPLIT.val(u32::from(split))
                + STRTAB_BASE_CFG::LOG2SIZE.val(u32::from(bits)),
        ),
    };
    let hint = STRTAB_BASE::RA::SET.value;
    io.at(STRTAB_BASE).set(memory.address(base).get() | hint);
    io.at(STRTAB_BASE_CFG).write(config);

    let queue = |offset, bits: u8| {
        let fields = QUEUE_BASE::ALLOCATE::SET + QUEUE_BASE::LOG2SIZE.val(u64::from(bits));
        memory.address(offset).get() | fields.value
    };
    io.at(CMDQ_BASE).set(queue(layout.commands, layout.command_bits));
    io.at(CMDQ_PROD).set(0);
    io.at(CMDQ_CONS).set(0);
    io.at(EVENTQ_BASE).set(queue(layout.events, layout.event_bits));
    io.at(EVENTQ_PROD).set(0);
    io.at(EVENTQ_CONS).set(0);
}

impl<I: Io, M: Io> Found<I, M> {
    /// Makes the unit refuse every stream, for ever or until it is attached, and gets it ready for that. Waits, with
    /// bounds.
    ///
    /// # Errors
    /// [`ResetError`]. After [`IommuError::TimedOut`] and [`IommuError::Failed`] it may let streams past, as it did
    /// before: the machine must not be used.
    pub fn reset(self) -> Result<Aborting<I, M>, ResetError> {
        abort_when_disabled(&self.io)?;
        disable(&self.io, &self.features)?;
        self.features.suffice()?;
        let layout = Layout::new(&self.features, self.memory.range).map_err(ResetError::Memory)?;
        refuse_all(&self.memory, &layout);
        configure(&self.io, &self.memory, &layout);

        // Errors of whoever had it before count no more.
        let acknowledged = self.io.at(GERROR).get();
        self.io.at(GERRORN).set(acknowledged);
        let start = Position::of(0, layout.command_bits);
        let mut device = Device {
            command: start,
            consumer: start,
            acknowledged,
            lost: false,
            late: None,
            event_acknowledged: 0,
            event: Position::of(0, layout.event_bits),
            io: self.io,
            registers: self.registers,
            memory: self.memory,
            features: self.features,
            layout,
        };
        // ATSCHK may be remembered with entries, so it comes before they are forgotten.
        let ats = if device.features.has_ats() {
            CR0::ATSCHK::SET
        } else {
            CR0::ATSCHK::CLEAR
        };
        enable(&device.io, ats + CR0::CMDQEN::SET)?;
        // Entries first: a translation could else be made anew from an old one (4.3.6).
        device.submit(command::cfgi_all())?;
        if device.features.has_hyp() {
            device.submit(command::tlbi_el2_all())?;
        }
        device.submit(command::tlbi_nsnh_all())?;
        device.sync()?;
        enable(&device.io, CR0::EVENTQEN::SET)?;
        enable(&device.io, CR0::SMMUEN::SET)?;
        // By wire; EL2 takes no interrupt, but whoever asks EL2 for the events may want to know when.
        device
            .io
            .at(IRQ_CTRL)
            .write(IRQ_CTRL::EVENTQ_IRQEN::SET + IRQ_CTRL::GERROR_IRQEN::SET);
        wait::until(|| device.io.at(IRQ_CTRL).get() == device.io.at(IRQ_CTRLACK).get())?;
        Ok(Aborting(device))
    }
}
