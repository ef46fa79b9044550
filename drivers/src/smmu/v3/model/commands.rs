//! The model's queues: commands (IHI 0070, chapters 4 and 7.1), events (7.2 to 7.4).

use super::{CMDQ_ERR, CMDQEN, EVENTQ_ABT_ERR, EVENTQEN, Forget, Hang, State};
use crate::smmu::model::bits;

/// Why a command was not understood: CERROR_ILL.
const ILLEGAL: u32 = 1;

impl State {
    fn queue(&self, base: usize) -> (u64, u32) {
        let register = self.plain(base);
        let log2 = bits(register, 4, 0) as u32;
        assert!(log2 <= 19, "a queue of 2^{log2}");
        (bits(register, 55, 5) << 5, log2)
    }

    pub fn write_cmdq_prod(&mut self, value: u32) {
        let enabled = self.cr0ack & CMDQEN != 0;
        let (_, log2) = self.queue(0x90);
        let mask = (2 << log2) - 1;
        if enabled {
            let used = value.wrapping_sub(self.cmdq_cons) & mask;
            assert!(used <= 1 << log2, "puts more commands than there is room");
        }
        assert_eq!(value & !mask, 0, "sets reserved bits of CMDQ_PROD");
        self.cmdq_prod = value;
    }

    /// Takes the next command, if there is one and it may.
    pub fn take_command(&mut self) {
        let stopped = (self.gerror ^ self.gerrorn) & CMDQ_ERR != 0 || self.hang == Hang::Commands;
        if self.cr0ack & CMDQEN == 0 || stopped {
            return;
        }
        let (base, log2) = self.queue(0x90);
        let mask = (2 << log2) - 1;
        if (self.cmdq_prod ^ self.cmdq_cons) & mask == 0 {
            return;
        }
        let address = base + 16 * u64::from(self.cmdq_cons & ((1 << log2) - 1));
        let command = [self.memory.read(address), self.memory.read(address + 8)];
        let misread = core::mem::take(&mut self.bad_command);
        if !misread && self.obey(command).is_some() {
            self.cmdq_cons = (self.cmdq_cons + 1) & mask;
            self.commands_done += 1;
        } else {
            self.cmdq_cons = self.cmdq_cons & mask | ILLEGAL << 24;
            self.gerror ^= CMDQ_ERR;
        }
    }

    /// Does as told. `None` when it is not a command.
    fn obey(&mut self, [low, high]: [u64; 2]) -> Option<()> {
        let vmid = bits(low, 47, 32) as u16;
        let only = |low_mask: u64, high_mask: u64| (low & !low_mask == 0 && high & !high_mask == 0).then_some(());
        match low & 0xff {
            // CFGI_STE_RANGE; of all streams is all that the driver needs.
            0x04 => {
                only(0xffff_ffff_0000_00ff, 0x1f)?;
                assert_eq!(high, 31, "forgets only some entries");
                self.forget.push(Forget::Configuration);
            }
            0x20 => {
                only(0xff, 0)?;
                self.identity.idr0_bit(9).then_some(())?;
            }
            0x28 => {
                only(0xffff_0000_00ff, 0)?;
                self.forget.push(Forget::Vm(vmid));
            }
            0x2a => self.forget_ipa(low, high)?,
            0x30 => {
                only(0xff, 0)?;
                self.forget.push(Forget::Everything);
            }
            0x46 => {
                only(0xff, 0)?;
                self.forget_now();
            }
            _ => return None,
        }
        Some(())
    }

    fn forget_ipa(&mut self, low: u64, high: u64) -> Option<()> {
        let (num, scale) = (bits(low, 16, 12), bits(low, 24, 20));
        let (granule, level) = (bits(high, 11, 10), bits(high, 9, 8));
        let reserved = low & 0xffff_0000_fe0e_0f00 | high & 0xfff0_0000_0000_00fe;
        let ranges = self.identity.idr3 >> 10 & 1 != 0;
        let single = granule == 0;
        if reserved != 0
            || (single && (num | scale | level) != 0)
            || (!ranges && !single)
            || (!single && (num | scale | level) == 0)
        {
            return None;
        }
        assert!(single || (granule == 1 && level == 0), "another granule or a hint");
        let pages = if single { 1 } else { (num + 1) << scale };
        let start = bits(high, 51, 12) << 12;
        self.forget.push(Forget::Ipa {
            vmid: bits(low, 47, 32) as u16,
            start,
            end: start + pages * 4096,
            leaf: high & 1 != 0,
        });
        Some(())
    }

    /// Only here does it forget anything.
    fn forget_now(&mut self) {
        for what in core::mem::take(&mut self.forget) {
            let caches = &mut self.caches;
            match what {
                Forget::Configuration => {
                    caches.entries.clear();
                    caches.descriptors.clear();
                }
                Forget::Everything => caches.translations.forget_all(),
                Forget::Vm(vmid) => caches.translations.forget_vm(vmid),
                Forget::Ipa { vmid, start, end, leaf } => {
                    caches.translations.forget_range(vmid, start, end, leaf);
                }
            }
        }
    }

    /// Writes an event, or notes that it is lost.
    pub fn record(&mut self, record: [u64; 4]) {
        let aborted = (self.gerror ^ self.gerrorn) & EVENTQ_ABT_ERR != 0;
        if self.quiet || self.cr0ack & EVENTQEN == 0 || aborted {
            return;
        }
        let (base, log2) = self.queue(0xa0);
        let mask = (2 << log2) - 1;
        let used = self.eventq_prod.wrapping_sub(self.eventq_cons) & mask;
        if used >= 1 << log2 {
            if self.full_is_an_abort {
                self.gerror ^= EVENTQ_ABT_ERR;
            } else if (self.eventq_prod ^ self.eventq_cons) >> 31 == 0 {
                self.eventq_prod ^= 1 << 31;
            }
            return;
        }
        let address = base + 32 * u64::from(self.eventq_prod & ((1 << log2) - 1));
        for (word, value) in record.into_iter().enumerate() {
            self.memory.write(address + 8 * word as u64, value);
        }
        self.eventq_prod = self.eventq_prod & 1 << 31 | (self.eventq_prod + 1) & mask;
    }
}
