//! The resource state coordinator of a group of processors: sets of commands (TCS) that are on their way to RPMh, or wait
//! for the processors to sleep or wake. It is looked at, to tell what a system that hangs has asked for, and never written.
//!
//! Linux `drivers/soc/qcom/rpmh-rsc.c` (rpmh_rsc_reg_offset_ver_2_7 and _3_0), checked against coreboot
//! `src/soc/qualcomm/common/{rpmh_rsc.c,include/soc/rpmh_rsc.h}`.

use crate::mmio::{Io, Mmio, Ro};
use leasehold_memory_map::PhysRange;
use tock_registers::interfaces::Readable;
use tock_registers::register_bitfields;

register_bitfields![u32,
    RSC_DRV_ID [
        MAJOR_VER OFFSET(16) NUMBITS(8) [],
        MINOR_VER OFFSET(8) NUMBITS(8) []
    ],
    DRV_PRNT_CHLD_CONFIG [
        /// Commands of a set.
        NCPT OFFSET(27) NUMBITS(5) [],
        /// Sets: six bits for each DRV, five of them.
        NUM_TCS OFFSET(0) NUMBITS(27) []
    ],
    CMD_MSGID [
        WRITE OFFSET(16) NUMBITS(1) [],
        RESP_REQ OFFSET(8) NUMBITS(1) []
    ],
    CMD_STATUS [
        COMPL OFFSET(16) NUMBITS(1) [],
        ISSUED OFFSET(8) NUMBITS(1) []
    ],
];

const ID: Ro<u32, RSC_DRV_ID::Register> = Ro::new(0x0);
const CONFIG: Ro<u32, DRV_PRNT_CHLD_CONFIG::Register> = Ro::new(0xc);

/// The most commands that a set has room for.
const MAX_COMMANDS: usize = 16;

/// The bits of a DRV in NUM_TCS, and how many of them there are.
const DRV_BITS: u32 = 6;
const DRVS: u8 = 4;

/// Where registers are within a set, by version.
struct Layout {
    status: usize,
    enable: usize,
    /// The first command's message id, address, data and status; each next one is a stride further.
    msgid: usize,
    address: usize,
    data: usize,
    command_status: usize,
    stride: usize,
}

const V2_7: Layout = Layout {
    status: 0x18,
    enable: 0x1c,
    msgid: 0x30,
    address: 0x34,
    data: 0x38,
    command_status: 0x3c,
    stride: 20,
};

const V3_0: Layout = Layout {
    status: 0x28,
    enable: 0x2c,
    msgid: 0x34,
    address: 0x38,
    data: 0x3c,
    command_status: 0x40,
    stride: 24,
};

/// What differs between SoCs; each has a property in the device tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which DRV it is (`qcom,drv-id`): 0 to 3.
    pub drv: u8,
    /// How far its sets are behind the start of its registers, in bytes (`qcom,tcs-offset`).
    pub sets_at: usize,
    /// How far its sets are apart, in bytes: 672, and 336 where there are hardware channels.
    pub set_stride: usize,
}

/// A command of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Command {
    /// The address of the resource, as the command database has it.
    pub address: u32,
    /// What is asked of it.
    pub data: u32,
    /// It is a write, not a read.
    pub write: bool,
    /// It has been sent.
    pub issued: bool,
    /// It has been answered.
    pub completed: bool,
}

/// A coordinator.
#[derive(Debug)]
pub struct Rsc<I = Mmio> {
    io: I,
    len: usize,
    config: Config,
}

impl Rsc<Mmio> {
    /// The coordinator with its DRV's registers at `registers`.
    ///
    /// # Safety
    /// `registers` are those of a DRV of an RSC as `config` describes, mapped at their own addresses as device memory.
    #[must_use]
    pub unsafe fn new(registers: PhysRange, config: Config) -> Self {
        let len = usize::try_from(registers.len()).expect("a machine of 64 bits");
        // SAFETY: as the caller vouches; it is only read.
        Self::over(unsafe { Mmio::identity(registers) }, len, config)
    }
}

impl<I: Io> Rsc<I> {
    /// The coordinator behind `io`, in `len` bytes of registers.
    pub const fn over(io: I, len: usize, config: Config) -> Self {
        Self { io, len, config }
    }

    /// Its version, major and minor.
    pub fn version(&self) -> (u32, u32) {
        let id = self.io.at(ID).extract();
        (id.read(RSC_DRV_ID::MAJOR_VER), id.read(RSC_DRV_ID::MINOR_VER))
    }

    /// How many sets it has, as far as their registers are within reach.
    pub fn sets(&self) -> usize {
        if self.config.drv >= DRVS || self.config.set_stride < self.layout().msgid {
            return 0;
        }
        let counts = self.io.at(CONFIG).read(DRV_PRNT_CHLD_CONFIG::NUM_TCS);
        let count = counts >> (DRV_BITS * u32::from(self.config.drv)) & 0x3f;
        let room = self.len.saturating_sub(self.config.sets_at) / self.config.set_stride;
        room.min(count as usize)
    }

    /// How many commands a set has.
    pub fn commands_per_set(&self) -> usize {
        let commands = self.io.at(CONFIG).read(DRV_PRNT_CHLD_CONFIG::NCPT) as usize;
        let layout = self.layout();
        let room = self.config.set_stride.saturating_sub(layout.msgid) / layout.stride;
        commands.min(MAX_COMMANDS).min(room)
    }

    /// The set has nothing on its way. `None` when there is no such set.
    pub fn is_idle(&self, set: usize) -> Option<bool> {
        let at = self.set(set)?;
        Some(self.io.load::<u32>(at + self.layout().status) != 0)
    }

    /// The commands of a set that are enabled, with their numbers. None when there is no such set.
    pub fn commands(&self, set: usize) -> impl Iterator<Item = (usize, Command)> {
        let layout = self.layout();
        let at = self.set(set);
        let enabled = at.map_or(0, |at| self.io.load::<u32>(at + layout.enable));
        let count = self.commands_per_set();
        (0..count)
            .filter(move |command| enabled >> command & 1 != 0)
            .filter_map(move |command| Some((command, self.command(&layout, at? + command * layout.stride))))
    }

    fn command(&self, layout: &Layout, at: usize) -> Command {
        let msgid = self
            .io
            .at(Ro::<u32, CMD_MSGID::Register>::new(at + layout.msgid))
            .extract();
        let status = Ro::<u32, CMD_STATUS::Register>::new(at + layout.command_status);
        let status = self.io.at(status).extract();
        Command {
            address: self.io.load(at + layout.address),
            data: self.io.load(at + layout.data),
            write: msgid.is_set(CMD_MSGID::WRITE),
            issued: status.is_set(CMD_STATUS::ISSUED),
            completed: status.is_set(CMD_STATUS::COMPL),
        }
    }

    fn set(&self, set: usize) -> Option<usize> {
        (set < self.sets()).then(|| self.config.sets_at + set * self.config.set_stride)
    }

    fn layout(&self) -> Layout {
        if self.version().0 < 3 { V2_7 } else { V3_0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmio::Width;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// As the device trees of all supported SoCs have it.
    const DRV2: Config = Config {
        drv: 2,
        sets_at: 0xd00,
        set_stride: 672,
    };

    const LEN: usize = 0x1_0000;

    /// Registers that only answer.
    #[derive(Clone, Default)]
    struct Registers {
        values: BTreeMap<usize, u32>,
        others: u32,
        len: usize,
    }

    impl Io for Registers {
        fn load<T: Width>(&self, offset: usize) -> T {
            assert!(T::BYTES == 4 && offset + 4 <= self.len, "reads {offset:#x}");
            T::truncate(u64::from(*self.values.get(&offset).unwrap_or(&self.others)))
        }

        fn store<T: Width>(&self, _: usize, _: T) {
            panic!("writes the coordinator")
        }

        fn publish(&self) {}

        fn observe(&self) {}
    }

    /// Two sets of three commands for DRV 2, and more for the others.
    fn registers(version: u32) -> Registers {
        let values = [(0x0, version << 8), (0xc, 3 << 27 | 63 << 18 | 2 << 12 | 9 << 6 | 5)];
        Registers {
            values: values.into(),
            others: 0,
            len: LEN,
        }
    }

    fn rsc(registers: &Registers) -> Rsc<Registers> {
        Rsc::over(registers.clone(), registers.len, DRV2)
    }

    #[test]
    fn sets_are_those_of_the_drv() {
        let registers = registers(0x207);
        let two = rsc(&registers);
        assert_eq!((two.version(), two.sets(), two.commands_per_set()), ((2, 7), 2, 3));
        for (drv, sets) in [(0, 5), (1, 9), (3, 63), (4, 0), (255, 0)] {
            let config = Config { drv, ..DRV2 };
            assert_eq!(Rsc::over(registers.clone(), LEN, config).sets(), sets);
        }
        let short = Config {
            set_stride: 4,
            sets_at: LEN - 8,
            ..DRV2
        };
        assert_eq!(Rsc::over(registers.clone(), LEN, short).sets(), 0);
        assert_eq!(two.is_idle(2), None);
        assert_eq!(two.commands(2).count(), 0);
    }

    #[test]
    fn commands_are_read_where_the_version_has_them() {
        for (version, status, enable, first, stride) in [(0x207, 0x18, 0x1c, 0x30, 20), (0x300, 0x28, 0x2c, 0x34, 24)] {
            let mut registers = registers(version);
            let set = 0xd00 + 672;
            let command = set + first + stride * 2;
            registers.values.extend([
                (set + status, 1),
                (set + enable, 0b1100),
                (command, 1 << 16 | 1 << 8 | 8),
                (command + 4, 0x4_0100),
                (command + 8, 7),
                (command + 12, 1 << 8),
            ]);
            let rsc = rsc(&registers);
            assert_eq!((rsc.is_idle(0), rsc.is_idle(1)), (Some(false), Some(true)));
            let seen: Vec<_> = rsc.commands(1).collect();
            let expected = Command {
                address: 0x4_0100,
                data: 7,
                write: true,
                issued: true,
                completed: false,
            };
            // The fourth is enabled, and there is none.
            assert_eq!(seen, [(2, expected)]);
            assert_eq!(rsc.commands(0).count(), 0);
        }
    }

    proptest! {
        /// Whatever the registers say: nothing outside is read.
        #[test]
        fn nothing_outside_is_read(id: u32, config: u32, others: u32, len in 0x10..LEN, drv in 0..8u8, sets_at in 0..LEN / 4, set_stride in 0..2000usize) {
            let registers = Registers {
                values: [(0x0, id), (0xc, config)].into(),
                others,
                len,
            };
            let config = Config { drv, sets_at: sets_at * 4, set_stride: set_stride / 4 * 4 };
            let rsc = Rsc::over(registers, len, config);
            for set in 0..65 {
                rsc.is_idle(set);
                prop_assert!(rsc.commands(set).count() <= MAX_COMMANDS);
            }
        }
    }
}
