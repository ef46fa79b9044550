//! A context bank of stage 2, on the tables that the CPUs walk.

use super::features::Features;
use super::instance::{Implementation, Prefetch, Walks};
use super::registers::{ACR, ACTLR, CBA2R, CBAR, FSR, RESUME, SCTLR, TCR, TTBR0, cba2r, cbar};
use crate::mmio::{Io, Register};
use leasehold_hal::{IommuError, Stage2Geometry, Vmid};
use leasehold_memory_map::{Address, PhysAddr};
use tock_registers::RegisterLongName;
use tock_registers::fields::FieldValue;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

/// The tables, and whose they are.
pub struct Tables<'a> {
    pub root: PhysAddr,
    pub geometry: &'a Stage2Geometry,
    pub vmid: Vmid,
}

/// Writes a register and looks whether it took the fields: what Secure code has kept for itself ignores writes.
fn write<R: RegisterLongName>(
    io: &impl Io,
    register: Register<u32, R, crate::mmio::ReadWrite>,
    fields: FieldValue<u32, R>,
) -> Result<(), IommuError> {
    let (value, mask) = (fields.value, fields.mask());
    io.at(register).write(fields);
    let read = io.at(register).get();
    if (read ^ value) & mask == 0 {
        Ok(())
    } else {
        Err(IommuError::Failed(read))
    }
}

/// TCR: that of VTCR_EL2, as far as walks are concerned.
fn tcr(geometry: &Stage2Geometry, features: &Features, walks: Walks) -> FieldValue<u32, TCR::Register> {
    let attributes = match walks {
        Walks::Coherent | Walks::CoherentByTree => {
            TCR::SH0::InnerShareable + TCR::ORGN0::WriteBack + TCR::IRGN0::WriteBack
        }
        Walks::Cleaned => TCR::SH0::OuterShareable + TCR::ORGN0::NonCacheable + TCR::IRGN0::NonCacheable,
    };
    TCR::PASize.val(features.pa_size())
        + TCR::TG0::Granule4K
        + attributes
        + TCR::SL0.val(u32::from(geometry.sl0()))
        + TCR::T0SZ.val(u32::from(geometry.t0sz()))
}

/// Sets an MMU-500's auxiliary registers for context bank `cb`.
///
/// As Linux `arm_mmu500_reset`, with one difference: TLBs do not remember streams that bypass translation. Linux lets
/// them, to make those streams faster; here there are none, and what was remembered before could outlive them.
fn set_auxiliary(io: &impl Io, cb: &impl Io, features: &Features, prefetch: Prefetch) -> Result<(), IommuError> {
    let mut acr = ACR::S2CRB_TLBEN::CLEAR + ACR::SMTNMB_TLBEN::CLEAR;
    if features.has_cache_lock() {
        acr += ACR::CACHE_LOCK::CLEAR;
    }
    io.at(ACR).modify(acr);
    if prefetch == Prefetch::Off {
        cb.at(ACTLR).modify(ACTLR::CPRE::CLEAR);
        let actlr = cb.at(ACTLR).extract();
        if actlr.is_set(ACTLR::CPRE) {
            return Err(IommuError::Failed(actlr.get()));
        }
    }
    Ok(())
}

/// Makes context bank `n`, to which no stream leads, walk `tables`.
pub fn prepare(
    io: &impl Io,
    features: &Features,
    n: usize,
    tables: &Tables<'_>,
    walks: Walks,
    implementation: Implementation,
) -> Result<(), IommuError> {
    let (global1, cb) = (features.global1(io), features.bank(io, n));
    write(&cb, SCTLR, SCTLR::M::CLEAR)?;
    if let Implementation::Mmu500(prefetch) = implementation {
        set_auxiliary(io, &cb, features, prefetch)?;
    }
    // The format first: it says what the others mean. The VMID is in both places, so that it is the same whether CR0.VMID16EN
    // is set, as it may be until all streams are here.
    let vmid = u32::from(tables.vmid.get());
    let mut format = CBA2R::VA64::SET;
    if features.has_wide_vmids() {
        format += CBA2R::VMID16.val(vmid);
    }
    write(&global1, cba2r(n), format)?;
    write(&global1, cbar(n), CBAR::TYPE::Stage2 + CBAR::VMID.val(vmid))?;
    let tcr = tcr(tables.geometry, features, walks);
    // RES1 may read as anything.
    let (value, mask) = (tcr.value, tcr.mask());
    cb.at(TCR).write(tcr + TCR::RES1::SET);
    let read = cb.at(TCR).get();
    if (read ^ value) & mask != 0 {
        return Err(IommuError::Failed(read));
    }
    cb.at(TTBR0).set(tables.root.get());
    if cb.at(TTBR0).get() != tables.root.get() {
        return Err(IommuError::Root(tables.root));
    }
    // Faults, and accesses that are stalled, are from before.
    let left = cb.at(FSR).extract();
    cb.at(FSR).set(left.get());
    if left.is_set(FSR::SS) {
        cb.at(RESUME).write(RESUME::TERMINATE::SET);
    }
    // What is refused is terminated, the device and whoever reads events are told, and the other devices go on.
    let on = SCTLR::M::SET + SCTLR::CFRE::SET + SCTLR::CFIE::SET + SCTLR::CFCFG::CLEAR + SCTLR::HUPCF::SET;
    write(&cb, SCTLR, on)
}
