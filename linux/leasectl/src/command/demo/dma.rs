//! Steps that have a device touch lent memory.

use super::Demo;
use crate::edu::Edu;
use crate::memory::{Memory, PAGE};
use anyhow::{Context, Result, bail};
use leasehold_abi::vendor::CLASS_DEVICE;
use std::time::Duration;

/// Bytes of each DMA. QEMU's SMMU reports an event for every four of them: more would fill its queue.
const LENGTH: usize = 16;
/// What the device is given to copy: told from what the guest and the host write to the lent memory.
const CONTROL: u64 = 0xc0de_0001_c0de_0002;
/// What the device is told to write over lent memory.
const OVERWRITE: u64 = 0x0bad_0003_0bad_0004;
/// The SMMU's events come to EL2 when it is entered; a few entries are made.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

impl Demo {
    /// The page that the device is told to touch: neither the image nor the device tree.
    fn dma_target(&self) -> u64 {
        self.physical[self.physical.len() / 2]
    }

    /// The device can copy the host's own memory, but neither read nor write what is lent.
    pub(super) fn dma(&mut self) -> Result<String> {
        let edu = Edu::open()?;
        let (from, to) = (Memory::locked_page()?, Memory::locked_page()?);
        let (from_address, to_address) = (from.physical_pages()?[0], to.physical_pages()?[0]);
        let lent = self.dma_target();

        from.fill(0, PAGE, CONTROL);
        edu.fetch(from_address, LENGTH)?;
        edu.store(to_address, LENGTH)?;
        if to.read(0) != CONTROL || to.read(LENGTH - 8) != CONTROL {
            bail!(
                "{} does not copy the host's own memory: {:#x} arrived",
                edu.name,
                to.read(0)
            );
        }

        to.fill(0, PAGE, !0);
        edu.fetch(lent, LENGTH).context("a read of lent memory")?;
        edu.store(to_address, LENGTH)?;
        let seen = [to.read(0), to.read(LENGTH - 8)];
        let name = match seen {
            // What was in its buffer before: the read brought nothing.
            [CONTROL, CONTROL] => "nothing",
            [0, 0] => "zeroes",
            [u64::MAX, u64::MAX] => "ones",
            _ => bail!("{} read {seen:x?} from the lent page {lent:#x}", edu.name),
        };

        from.fill(0, PAGE, OVERWRITE);
        edu.fetch(from_address, LENGTH)?;
        edu.store(lent, LENGTH).context("a write to lent memory")?;
        Ok(format!(
            "{} copied own memory, read {name} from the lent page {lent:#x}, and was told to write it",
            edu.name
        ))
    }

    /// There is a record of what the device did.
    pub(super) fn dma_fault(&mut self) -> Result<String> {
        let lent = self.dma_target();
        for _ in 0..TRIES {
            self.take_faults()?;
            let page = |ipa: u64| ipa & !(PAGE as u64 - 1);
            let found = self
                .faults
                .records
                .iter()
                .find(|fault| fault.access == CLASS_DEVICE && page(fault.ipa) == lent);
            if let Some(fault) = found {
                return Ok(format!(
                    "a device touched {:#x}, lent to VM {}",
                    fault.ipa, fault.borrower
                ));
            }
            std::thread::sleep(PAUSE);
        }
        bail!(
            "no record of a device that touched {lent:#x} among {}",
            self.faults.records.len()
        )
    }
}
