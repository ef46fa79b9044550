//! Steps that touch lent memory from EL0, through the mapping that is still there.

use super::Demo;
use crate::command::faults::{describe, totals};
use crate::command::matrix::alive;
use crate::device::Fault;
use crate::memory::{BLOCK, PAGE, find_block};
use crate::touch::{Access, Outcome, touch};
use anyhow::{Context, Result, bail};
use leasehold_abi::vendor::CLASS_EL0;

/// What a write would leave: neither zero, nor what anybody else writes.
const WRITTEN: u8 = 0xd7;
/// Where in a page to touch it: an odd address, which a byte access may have.
const WITHIN: usize = 0x123;

/// A touch, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    /// The address.
    address: usize,
    /// The page of physical memory that the address stands for.
    page: u64,
    outcome: Outcome,
}

impl Demo {
    /// Reads a byte of several pages.
    pub(super) fn touch_read(&mut self) -> Result<String> {
        self.touch_all(Access::Read)
    }

    /// Writes a byte of several pages.
    pub(super) fn touch_write(&mut self) -> Result<String> {
        self.touch_all(Access::Write(WRITTEN))
    }

    /// Takes each CPU but the first away and brings it back, then reads a byte from each.
    pub(super) fn replug(&mut self) -> Result<String> {
        let cpus = std::thread::available_parallelism()
            .context("cannot count the CPUs")?
            .get();
        let switch = |cpu: usize, on: &str| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");
            std::fs::write(&path, on).with_context(|| format!("cannot write {on} to {path}"))
        };
        for cpu in 1..cpus {
            switch(cpu, "0")?;
            switch(cpu, "1")?;
        }
        let before = self.touches.len();
        for cpu in 0..cpus {
            alive::pin(cpu)?;
            self.touch_all(Access::Read)?;
        }
        alive::pin_to_all(cpus)?;
        let touched = self.touches.len() - before;
        Ok(format!(
            "{touched} touches from {cpus} CPUs, {} of which came back",
            cpus - 1
        ))
    }

    /// The first page, one of the scattered ones, one in the middle of an aligned 2 MiB, the last.
    fn targets(&self) -> Vec<(&'static str, usize)> {
        let last = self.physical.len() - 1;
        let mut targets = vec![("the first page", 0), ("a scattered page", last.min(77))];
        if let Some(block) = find_block(&self.physical) {
            targets.push(("a page of a 2 MiB block", block + BLOCK / PAGE / 2));
        }
        targets.push(("the last page", last));
        targets
    }

    fn touch_all(&mut self, access: Access) -> Result<String> {
        let mut seen = Vec::new();
        for (name, page) in self.targets() {
            let pointer = self.memory.at(page * PAGE + WITHIN, 1);
            let address = pointer.as_ptr().addr();
            let outcome = touch(pointer, access)?;
            // At once: a touch that is tried again and again leaves more records than are kept.
            self.take_faults()?;
            self.touches.push(Touch {
                address,
                page: self.physical[page],
                outcome,
            });
            // At once: one that is tried again and again fills the hypervisor's log of them.
            self.take_faults()?;
            if !self.args.expect.allows(address, access, outcome) {
                bail!(
                    "{name}, {address:#x}: {outcome}, which is not what {:?} brings",
                    self.args.expect
                );
            }
            seen.push(format!("{name}: {outcome}"));
        }
        Ok(seen.join("; "))
    }

    /// Takes the fault records that are there.
    pub(super) fn take_faults(&mut self) -> Result<()> {
        self.faults.lost += self
            .device
            .faults(&mut self.faults.records)
            .context("cannot take the fault records")?;
        Ok(())
    }

    /// There is a record for each of the touches, with the address, the page and the instruction.
    pub(super) fn faults(&mut self) -> Result<String> {
        self.take_faults()?;
        if self.touches.is_empty() {
            bail!("nothing was touched");
        }
        for touch in &self.touches {
            if !self.faults.records.iter().any(|fault| touch.is_in(fault, self.vm)) {
                bail!(
                    "no record of {touch:x?} among {}, {} lost",
                    self.all_faults(),
                    self.faults.lost
                );
            }
        }
        let first = self
            .faults
            .records
            .iter()
            .find(|fault| self.touches[0].is_in(fault, self.vm));
        let counts = self.device.fault_counts(CLASS_EL0)?.counts;
        if counts.iter().sum::<u64>() < self.touches.len() as u64 {
            bail!("{} touches were counted: {}", self.touches.len(), totals(&counts));
        }
        Ok(format!(
            "{} touches, {}; {} records, {} lost; the first: {}",
            self.touches.len(),
            totals(&counts),
            self.faults.records.len(),
            self.faults.lost,
            first.map(describe).unwrap_or_default(),
        ))
    }

    fn all_faults(&self) -> String {
        let lines: Vec<String> = self.faults.records.iter().take(8).map(describe).collect();
        format!("{} records: {}", self.faults.records.len(), lines.join("; "))
    }
}

impl Touch {
    fn is_in(&self, fault: &Fault, vm: u32) -> bool {
        let pc = match self.outcome {
            Outcome::Signal { pc, .. } => fault.pc == pc,
            // Without a signal nobody has told the instruction.
            _ => fault.pc != 0,
        };
        let page = fault.ipa & !(PAGE as u64 - 1);
        let same = (page, fault.va, fault.borrower) == (self.page, self.address as u64, vm.into());
        fault.access == CLASS_EL0 && same && pc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_to_fit_in_every_field() {
        let outcome = Outcome::Signal {
            number: 7,
            code: 3,
            address: 0x1123,
            pc: 0x400,
        };
        let touch = Touch {
            address: 0x1123,
            page: 0x4200_0000,
            outcome,
        };
        let fault = Fault {
            access: CLASS_EL0,
            ipa: 0x4200_0123,
            va: 0x1123,
            pc: 0x400,
            borrower: 2,
            ..Fault::default()
        };
        assert!(touch.is_in(&fault, 2));
        assert!(!touch.is_in(&fault, 3));
        assert!(!touch.is_in(&Fault { access: 1, ..fault }, 2));
        assert!(!touch.is_in(
            &Fault {
                ipa: 0x4200_1123,
                ..fault
            },
            2
        ));
        assert!(!touch.is_in(&Fault { va: 0x1122, ..fault }, 2));
        assert!(!touch.is_in(&Fault { pc: 0x404, ..fault }, 2));
    }
}
