//! Faults, global and of a context bank, as events (Arm IHI 0062: SMMU_sGFSR, SMMU_CBn_FSR and their
//! syndrome registers).

use super::registers::{FSR, GFSR};
use leasehold_hal::{IommuEvent, IommuEventKind};
use tock_registers::LocalRegisterCopy;

/// That faults were lost: the registers keep the first.
pub const LOST: IommuEvent = IommuEvent {
    kind: IommuEventKind::Lost,
    stream: None,
    address: None,
    write: None,
};

/// What the syndrome registers say besides.
#[derive(Clone, Copy)]
pub struct Syndrome {
    pub stream: u32,
    pub address: u64,
    pub write: bool,
}

impl Syndrome {
    const fn event(self, kind: IommuEventKind) -> IommuEvent {
        IommuEvent {
            kind,
            stream: Some(self.stream),
            address: Some(self.address),
            write: Some(self.write),
        }
    }
}

/// The number of the lowest bit that is set.
fn lowest(bits: u32) -> u8 {
    bits.trailing_zeros() as u8
}

fn mask<R: tock_registers::RegisterLongName, const N: usize>(
    fields: [tock_registers::fields::Field<u32, R>; N],
) -> u32 {
    fields.iter().fold(0, |mask, field| mask | field.mask << field.shift)
}

/// The bits of a context bank's FSR that say what the fault was.
fn causes() -> u32 {
    mask([
        FSR::UUT,
        FSR::ASF,
        FSR::TLBLKF,
        FSR::TLBMCF,
        FSR::EF,
        FSR::PF,
        FSR::AFF,
        FSR::TF,
    ])
}

/// The bits of GFSR that say what the fault was.
fn global_causes() -> u32 {
    mask([
        GFSR::UUT,
        GFSR::PF,
        GFSR::EF,
        GFSR::CAF,
        GFSR::UCIF,
        GFSR::UCBF,
        GFSR::SMCF,
        GFSR::USF,
        GFSR::ICF,
    ])
}

/// Whether a context bank has recorded something. Not if bits are set that do not exist: nobody is there.
pub fn is_recorded(fsr: LocalRegisterCopy<u32, FSR::Register>) -> bool {
    let recorded = causes() | mask([FSR::MULTI, FSR::SS]);
    let known = recorded | mask([FSR::FORMAT]);
    fsr.get() & !known == 0 && fsr.get() & recorded != 0
}

/// As [`is_recorded`], of GFSR.
pub fn is_recorded_globally(gfsr: LocalRegisterCopy<u32, GFSR::Register>) -> bool {
    let known = global_causes() | mask([GFSR::MULTI]);
    gfsr.get() & !known == 0 && gfsr.get() != 0
}

/// What a context bank has recorded, if it is more than that faults were lost.
pub fn of_context(fsr: LocalRegisterCopy<u32, FSR::Register>, syndrome: Syndrome) -> Option<IommuEvent> {
    let causes = fsr.get() & causes();
    if causes == 0 {
        return None;
    }
    let kind = if fsr.is_set(FSR::TF) {
        IommuEventKind::Translation
    } else if fsr.is_set(FSR::PF) {
        IommuEventKind::Permission
    } else if fsr.is_set(FSR::ASF) {
        IommuEventKind::AddressSize
    } else {
        IommuEventKind::Other(lowest(causes))
    };
    Some(syndrome.event(kind))
}

/// What GFSR has recorded, if it is more than that faults were lost. Numbers of other events begin at 32.
pub fn of_global(gfsr: LocalRegisterCopy<u32, GFSR::Register>, syndrome: Syndrome) -> Option<IommuEvent> {
    let causes = gfsr.get() & global_causes();
    if causes == 0 {
        return None;
    }
    let configuration = mask([GFSR::ICF, GFSR::USF, GFSR::SMCF, GFSR::UCBF, GFSR::UCIF]);
    if causes & configuration != 0 {
        return Some(syndrome.event(IommuEventKind::Stream));
    }
    let kind = IommuEventKind::Other(32 + lowest(causes));
    if causes == mask([GFSR::CAF]) {
        // A CPU's: the address is the register's.
        return Some(IommuEvent {
            stream: None,
            ..syndrome.event(kind)
        });
    }
    Some(syndrome.event(kind))
}
