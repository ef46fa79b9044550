//! The model's registers (IHI 0062, DDI 0517).

use super::{FORMAT, Forget, POLLS, Power, Source, State};

/// CR0's fields that there are, but EXIDENABLE and VMID16EN.
const CR0: u32 = 0x3fff_fdf7;
const EXIDENABLE: u32 = 1 << 3;
const VMID16EN: u32 = 1 << 31;
/// TBU_PWR_STATUS and what Qualcomm has beside it.
const TBU_PWR_STATUS: usize = 0x2204;
const STATS_SYNC_INV_TBU_ACK: usize = 0x25dc;
const MMU2QSS_AND_SAFE_WAIT_CNTR: usize = 0x2670;

impl State {
    pub fn load(&mut self, offset: usize, bytes: usize) -> u64 {
        match self.power {
            Power::On => {}
            Power::Off(garbage) => return u64::from(garbage) << 32 | u64::from(garbage),
            Power::Fatal => panic!("reads {offset:#x} of a unit that is off"),
        }
        let page = self.identity.page();
        let value = match (offset / page, offset % page) {
            (n, _) if n < self.identity.global_pages() && self.quirks.secure_global => 0,
            (0, within) => self.load_global0(within, bytes),
            (1, within) => self.load_global1(within, bytes),
            (n, within) if n >= self.identity.global_pages() => {
                self.load_bank(n - self.identity.global_pages(), within, bytes)
            }
            // These need no larger page.
            _ => u64::from(match (offset, bytes) {
                (TBU_PWR_STATUS, 4) => 0x3ff,
                (STATS_SYNC_INV_TBU_ACK, 4) => 0x01ff_0000 | u32::from(self.hang),
                (MMU2QSS_AND_SAFE_WAIT_CNTR, 4) => u32::from(self.hang) << 20,
                _ => panic!("reads {bytes} bytes at {offset:#x}"),
            }),
        };
        self.tick();
        value
    }

    pub fn store(&mut self, offset: usize, bytes: usize, value: u64) {
        self.stores += 1;
        match self.power {
            Power::On => {}
            Power::Off(_) => return,
            Power::Fatal => panic!("writes {offset:#x} of a unit that is off"),
        }
        let page = self.identity.page();
        let word = value as u32;
        match (offset / page, offset % page) {
            (n, _) if n < self.identity.global_pages() && self.quirks.secure_global => {}
            (0, within) if bytes == 4 => self.store_global0(within, word),
            (1, within) if bytes == 4 => self.store_global1(within, word),
            (n, within) if n >= self.identity.global_pages() => {
                self.store_bank(n - self.identity.global_pages(), within, bytes, value);
            }
            _ => panic!("writes {bytes} bytes at {offset:#x}"),
        }
        self.tick();
    }

    fn group(&self, within: usize, base: usize) -> usize {
        let n = (within - base) / 4;
        assert!(n < self.smr.len(), "there is no group {n}");
        n
    }

    /// Whether somebody below hides group `n`.
    fn is_hidden(&self, n: usize) -> bool {
        self.quirks.emulated && n >= 128
    }

    fn load_global0(&self, within: usize, bytes: usize) -> u64 {
        let word = match (within, bytes) {
            (0x40, 8) => return self.gfar,
            (0x00, 4) => self.cr0,
            (0x10, 4) => self.acr,
            (0x20, 4) => self.identity.id0,
            (0x24, 4) => self.identity.id1,
            (0x28, 4) => self.identity.id2,
            (0x3c, 4) => self.identity.id7,
            (0x48, 4) => self.gfsr,
            (0x50, 4) => self.gfsynr0,
            (0x54, 4) => self.gfsynr1,
            (0x74, 4) => u32::from(self.global_sync_polls > 0),
            (0x800..0xc00, 4) => {
                assert!(self.matches(), "there are no SMRs");
                let n = self.group(within, 0x800);
                if self.is_hidden(n) { 0 } else { self.smr[n] }
            }
            (0xc00..0x1000, 4) => {
                let n = self.group(within, 0xc00);
                if self.is_hidden(n) { 0 } else { self.s2cr[n] }
            }
            _ => panic!("reads {bytes} bytes at {within:#x} of global space 0"),
        };
        u64::from(word)
    }

    pub(super) fn matches(&self) -> bool {
        self.identity.id0 >> 27 & 1 != 0
    }

    pub(super) fn is_extended(&self) -> bool {
        self.matches() && self.cr0 & EXIDENABLE != 0
    }

    fn store_global0(&mut self, within: usize, value: u32) {
        match within {
            0x00 => {
                let exids = if self.identity.id0 >> 8 & 1 != 0 { EXIDENABLE } else { 0 };
                let wide = if self.identity.id2 >> 15 & 1 != 0 { VMID16EN } else { 0 };
                self.cr0 = value & (CR0 | exids | wide);
            }
            0x10 => self.acr = value,
            0x48 => self.gfsr &= !value,
            0x64 => self.forget.push((Source::Global, Forget::Vm(value as u16))),
            // Everything of VMs and their hosts; EL2's own is not modelled.
            0x68 => self.forget.push((Source::Global, Forget::Everything)),
            0x6c => {}
            0x70 => {
                self.no_sync_is_under_way();
                self.global_sync_polls = POLLS;
            }
            0x800..0xc00 => {
                assert!(self.matches(), "there are no SMRs");
                let n = self.group(within, 0x800);
                if !self.is_hidden(n) {
                    self.smr[n] = value & self.smr_bits();
                }
            }
            0xc00..0x1000 => {
                let n = self.group(within, 0xc00);
                self.store_s2cr(n, value);
            }
            _ => panic!("writes {within:#x} of global space 0"),
        }
    }

    /// The bits of an SMR that are there.
    fn smr_bits(&self) -> u32 {
        let extended = self.is_extended();
        let sid = if extended {
            0xffff
        } else {
            (1 << (self.identity.id0 >> 9 & 0xf)) - 1
        };
        let mask = self.quirks.smr_mask.map_or(sid, u32::from) & sid;
        let valid = if extended { 0 } else { 1 << 31 };
        valid | mask << 16 | sid
    }

    fn store_s2cr(&mut self, n: usize, mut value: u32) {
        if self.quirks.emulated {
            match value >> 16 & 3 {
                1 => value = value & !(3 << 16) | 2 << 16,
                2 => return,
                _ => {}
            }
        }
        if !self.is_hidden(n) && self.quirks.s2cr_locked != Some(n) {
            self.s2cr[n] = value;
        }
    }

    fn no_sync_is_under_way(&self) {
        let under_way = self.global_sync_polls > 0 || self.banks.iter().any(|bank| bank.sync_polls > 0);
        assert!(!under_way, "asks for a sync while another is under way");
    }

    fn numbered(&self, within: usize) -> usize {
        let n = within % 0x400 / 4;
        assert!(n < self.banks.len(), "there is no context bank {n}");
        n
    }

    fn load_global1(&self, within: usize, bytes: usize) -> u64 {
        assert!(bytes == 4 && within < 0xc00, "reads {within:#x} of global space 1");
        let bank = &self.banks[self.numbered(within)];
        u64::from(match within / 0x400 {
            0 => bank.cbar,
            1 => bank.cbfrsynra,
            _ => bank.cba2r,
        })
    }

    fn store_global1(&mut self, within: usize, value: u32) {
        let n = self.numbered(within);
        self.may_change(n);
        if self.is_secure(n) {
            return;
        }
        match within {
            0..0x400 if self.quirks.cbar_locked => {}
            0..0x400 => self.banks[n].cbar = value,
            0x800..0xc00 => {
                let wide = if self.identity.id2 >> 15 & 1 != 0 {
                    0xffff_0003
                } else {
                    3
                };
                self.banks[n].cba2r = value & wide;
            }
            _ => panic!("writes {within:#x} of global space 1"),
        }
    }

    fn is_secure(&self, n: usize) -> bool {
        self.quirks.secure_banks_from.is_some_and(|first| n >= first)
    }

    /// Nobody may change how a context bank translates while it does.
    fn may_change(&self, n: usize) {
        assert_eq!(
            self.banks[n].sctlr & 1,
            0,
            "changes context bank {n} while it translates"
        );
        self.is_not_in_use(n);
    }

    fn is_not_in_use(&self, n: usize) {
        assert!(!self.leads_to(n), "changes context bank {n} while streams lead to it");
    }

    fn load_bank(&self, n: usize, within: usize, bytes: usize) -> u64 {
        let bank = &self.banks[n];
        if self.is_secure(n) {
            return 0;
        }
        match (within, bytes) {
            (0x20, 8) => bank.ttbr0,
            (0x60, 8) => bank.far,
            (0x00, 4) => u64::from(bank.sctlr),
            (0x04, 4) => u64::from(bank.actlr),
            (0x30, 4) => u64::from(bank.tcr),
            (0x58, 4) => u64::from(bank.fsr),
            (0x68, 4) => u64::from(bank.fsynr0),
            (0x7f4, 4) => u64::from(bank.sync_polls > 0),
            _ => panic!("reads {bytes} bytes at {within:#x} of context bank {n}"),
        }
    }

    fn store_bank(&mut self, n: usize, within: usize, bytes: usize, value: u64) {
        if self.is_secure(n) {
            return;
        }
        let word = value as u32;
        match (within, bytes) {
            (0x00, 4) => {
                self.is_not_in_use(n);
                self.banks[n].sctlr = word;
            }
            (0x04, 4) => {
                let locked = self.identity.id7 >> 4 >= 2 && self.acr >> 26 & 1 != 0;
                if !locked && !self.quirks.actlr_locked {
                    self.banks[n].actlr = word;
                }
            }
            (0x08, 4) => {
                assert!(!self.banks[n].has_faulted(), "resumes with the fault recorded");
                assert_eq!(word, 1, "lets a stalled access try again");
                self.banks[n].stalled = false;
                self.resumed += 1;
            }
            (0x20, 8) => {
                self.may_change(n);
                self.banks[n].ttbr0 = value & 0xffff_ffff_ffff;
            }
            (0x30, 4) => {
                self.may_change(n);
                self.banks[n].tcr = word;
            }
            (0x58, 4) => self.banks[n].fsr &= !word | FORMAT,
            (0x630, 8) => {
                assert_eq!(value >> 36, 0, "an IPA of more than 48 bits");
                let vmid = self.vmid(n);
                let ipa = value << 12;
                self.forget.push((Source::Bank(n), Forget::Page { vmid, ipa }));
            }
            (0x7f0, 4) => {
                self.no_sync_is_under_way();
                self.banks[n].sync_polls = POLLS;
            }
            _ => panic!("writes {bytes} bytes at {within:#x} of context bank {n}"),
        }
    }

    /// The VMID of context bank `n`.
    pub(super) fn vmid(&self, n: usize) -> u16 {
        if self.cr0 & VMID16EN != 0 {
            (self.banks[n].cba2r >> 16) as u16
        } else {
            (self.banks[n].cbar & 0xff) as u16
        }
    }
}
