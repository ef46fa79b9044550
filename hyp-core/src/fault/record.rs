//! What happened, for the host to read (`FAULT_READ`).

use super::access::{Class, ipa};
use super::mechanism::Mechanism;
use crate::id::VmId;
use crate::trap::{AbortIss, Esr};
use leasehold_abi::vendor;
use leasehold_memory_map::{Address, Ipa};

/// Who touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Toucher {
    /// A CPU of the host's, with how it was answered.
    Cpu {
        /// The CPU's number.
        cpu: u8,
        /// The class of the access.
        class: Class,
        /// The link of the chain that answered.
        mechanism: Mechanism,
    },
    /// A device, refused by the SMMU: nothing was delivered.
    Device {
        /// Its stream id.
        stream: u32,
    },
}

/// One refused access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who.
    pub toucher: Toucher,
    /// When, in counter ticks.
    pub at: u64,
    /// Which page; `None` where the hardware does not say.
    pub page: Option<Ipa>,
    /// At which virtual address; for a device, the address on its bus.
    pub va: u64,
    /// From where in the program; zero for a device.
    pub pc: u64,
    /// ESR_EL2; zero for a device.
    pub esr: u64,
    /// Whose memory it is at present, if it is lent.
    pub borrower: Option<VmId>,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Record {
    fn format(&self, f: defmt::Formatter<'_>) {
        let ipa = self.ipa().map_or(u64::MAX, Address::get);
        let borrower = self.borrower.map_or(0, |vm| vm.endpoint());
        match self.toucher {
            Toucher::Cpu { cpu, class, mechanism } => defmt::write!(
                f,
                "CPU {=u8} {} VA {=u64:#x} IPA {=u64:#x} PC {=u64:#x} ESR_EL2 {=u64:#x}, lent to VM {=u16}: {}",
                cpu,
                class,
                self.va,
                ipa,
                self.pc,
                self.esr,
                borrower,
                mechanism
            ),
            Toucher::Device { stream } => {
                defmt::write!(
                    f,
                    "device, stream {=u32:#x}, IPA {=u64:#x}, lent to VM {=u16}",
                    stream,
                    ipa,
                    borrower
                );
            }
        }
    }
}

impl Record {
    /// Where in the page, as far as is known.
    #[must_use]
    pub fn ipa(&self) -> Option<Ipa> {
        ipa(self.page?, self.va, AbortIss::new(Esr::new(self.esr).iss()))
    }

    /// What `FAULT_READ` returns in `x2` to `x10`. An IPA that is not known is all ones.
    #[must_use]
    pub fn to_registers(&self) -> [u64; 9] {
        let (class, mechanism, who) = match self.toucher {
            Toucher::Cpu { cpu, class, mechanism } => (class.abi(), mechanism.abi(), u64::from(cpu)),
            Toucher::Device { stream } => (vendor::CLASS_DEVICE, vendor::MECHANISM_NONE, u64::from(stream)),
        };
        [
            class,
            self.ipa().map_or(u64::MAX, Address::get),
            self.va,
            self.pc,
            self.esr,
            self.borrower.map_or(0, |vm| u64::from(vm.endpoint())),
            mechanism,
            who,
            self.at,
        ]
    }
}

/// How many records are kept for the host.
pub const RECORDS: usize = 64;

/// The last [`RECORDS`] refused accesses that the host has not read. The newest are kept.
///
/// A ring of its own: a refused access is to cost little, so a record is written in its place, and losses are worked out
/// by the reader.
pub struct FaultLog {
    records: [Record; RECORDS],
    /// How many records were ever written, and how many of them are behind the reader.
    written: u64,
    read: u64,
}

impl FaultLog {
    const BLANK: Record = Record {
        toucher: Toucher::Device { stream: 0 },
        at: 0,
        page: None,
        va: 0,
        pc: 0,
        esr: 0,
        borrower: None,
    };

    /// No records.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            records: [Self::BLANK; RECORDS],
            written: 0,
            read: 0,
        }
    }

    /// Keeps `record`; the oldest goes when there is no room.
    #[inline(always)]
    pub fn push(&mut self, record: Record) {
        self.records[self.written as usize % RECORDS] = record;
        self.written = self.written.wrapping_add(1);
    }

    /// What tells the newest record from all others: how many there were.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.written
    }

    /// Corrects a record, if it is kept still: this is what has answered.
    pub fn amend(&mut self, serial: u64, by: Mechanism) {
        if self.written.wrapping_sub(serial) >= RECORDS as u64 {
            return;
        }
        let place = serial.wrapping_sub(1) as usize % RECORDS;
        if let Toucher::Cpu { mechanism, .. } = &mut self.records[place].toucher {
            *mechanism = by;
        }
    }

    /// The record with this serial number, if it is kept still, read or not.
    #[must_use]
    pub fn kept(&self, serial: u64) -> Option<&Record> {
        let newer = self.written.wrapping_sub(serial);
        (newer < RECORDS as u64).then(|| &self.records[serial.wrapping_sub(1) as usize % RECORDS])
    }

    /// The record that was kept last, read or not; before the first, one that says nothing.
    #[must_use]
    pub const fn newest(&self) -> &Record {
        &self.records[self.written.wrapping_sub(1) as usize % RECORDS]
    }

    /// Takes the oldest record, with how many have been lost since the last one was taken.
    pub fn take(&mut self) -> Option<(u64, Record)> {
        let waiting = self.written.wrapping_sub(self.read);
        if waiting == 0 {
            return None;
        }
        let lost = waiting.saturating_sub(RECORDS as u64);
        let record = self.records[self.read.wrapping_add(lost) as usize % RECORDS];
        self.read = self.read.wrapping_add(lost + 1);
        Some((lost, record))
    }
}

impl Default for FaultLog {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> Record {
        Record {
            toucher: Toucher::Cpu {
                cpu: 3,
                class: Class::El1Kernel,
                mechanism: Mechanism::ALIGNMENT_ABORT,
            },
            at: n,
            page: Some(Ipa::new(0x4800_0000)),
            va: 0xffff_0000_0800_0010,
            pc: 0xffff_8000_8000_1234,
            esr: 0x9200_0047,
            borrower: VmId::guest(0),
        }
    }

    #[test]
    fn the_newest_are_kept_and_losses_are_told_once() {
        let mut log = FaultLog::new();
        assert_eq!(log.take(), None);
        for n in 0..RECORDS as u64 + 3 {
            log.push(record(n));
        }
        assert_eq!(log.take(), Some((3, record(3))));
        assert_eq!(log.take(), Some((0, record(4))));
        let rest = core::iter::from_fn(|| log.take()).count();
        assert_eq!(rest, RECORDS - 2);
    }

    #[test]
    fn registers_are_in_the_abi_s_order() {
        let returns = vendor::CALLS
            .iter()
            .find(|call| call.name == "FAULT_READ")
            .unwrap()
            .returns;
        let of = |r: &Record, name: &str| {
            let n = returns.iter().position(|what| what.starts_with(name)).unwrap();
            // "records lost" is in x1, before the record.
            r.to_registers()[n - 1]
        };
        let r = record(77);
        assert_eq!(of(&r, "class"), vendor::CLASS_EL1_KERNEL);
        assert_eq!(of(&r, "IPA"), 0x4800_0010);
        assert_eq!(of(&r, "VA"), 0xffff_0000_0800_0010);
        assert_eq!(of(&r, "PC"), 0xffff_8000_8000_1234);
        assert_eq!(of(&r, "ESR_EL2"), 0x9200_0047);
        assert_eq!(of(&r, "borrower"), 2);
        assert_eq!(of(&r, "mechanism"), vendor::MECHANISM_ABORT | 0x2100);
        assert_eq!(of(&r, "CPU"), 3);
        assert_eq!(of(&r, "counter"), 77);
        let device = Record {
            toucher: Toucher::Device { stream: 8 },
            page: None,
            borrower: None,
            ..r
        };
        assert_eq!(of(&device, "class"), vendor::CLASS_DEVICE);
        assert_eq!(of(&device, "mechanism"), vendor::MECHANISM_NONE);
        assert_eq!(of(&device, "CPU"), 8);
        assert_eq!((of(&device, "IPA"), of(&device, "borrower")), (u64::MAX, 0));
    }
}
