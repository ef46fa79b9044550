//! Access to registers and to memory that a device shares.
//!
//! `tock-registers` describes registers and their fields, but its own register types read and write real memory only.
//! Here a [`Register`] is a place, a width and a set of fields; [`Io`] says how to get there. [`Mmio`] is the device;
//! the models of the drivers are the other implementations. What [`Io::at`] returns has all methods of
//! `tock_registers::interfaces`.

use crate::cpu;
use core::marker::PhantomData;
use core::ptr::NonNull;
use leasehold_memory_map::{Address, PhysRange};
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::{RegisterLongName, UIntLike};

mod sealed {
    /// How a width is loaded and stored, in one access of exactly that width.
    pub trait Access: Sized {
        /// # Safety
        /// `from` is valid for a read of `Self` and aligned.
        unsafe fn load(from: *const Self) -> Self;

        /// # Safety
        /// `to` is valid for a write of `Self` and aligned.
        unsafe fn store(to: *mut Self, value: Self);
    }
}

/// A width in which a register can be accessed: 8, 16, 32 or 64 bits.
pub trait Width: UIntLike + sealed::Access {
    /// The width in bytes.
    const BYTES: usize;

    /// The value, zero-extended.
    fn widen(self) -> u64;

    /// The low bits of `value`.
    fn truncate(value: u64) -> Self;
}

macro_rules! width {
    ($type:ident, $load:literal, $store:literal) => {
        impl sealed::Access for $type {
            // Plain loads and stores of one register without writeback: when a hypervisor below traps the access, the
            // syndrome describes it (Arm ARM, ESR_EL2.ISV), which it does not for pairs and writeback forms.
            #[inline(always)]
            unsafe fn load(from: *const Self) -> Self {
                #[cfg(target_arch = "aarch64")]
                {
                    let value: Self;
                    // SAFETY: the caller vouches for `from`.
                    unsafe {
                        core::arch::asm!($load, value = out(reg) value, from = in(reg) from, options(nostack, preserves_flags));
                    }
                    value
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: the caller vouches for `from`.
                unsafe {
                    from.read_volatile()
                }
            }

            #[inline(always)]
            unsafe fn store(to: *mut Self, value: Self) {
                #[cfg(target_arch = "aarch64")]
                // SAFETY: the caller vouches for `to`.
                unsafe {
                    core::arch::asm!($store, value = in(reg) value, to = in(reg) to, options(nostack, preserves_flags));
                }
                #[cfg(not(target_arch = "aarch64"))]
                // SAFETY: the caller vouches for `to`.
                unsafe {
                    to.write_volatile(value);
                }
            }
        }

        impl Width for $type {
            const BYTES: usize = size_of::<$type>();

            #[inline(always)]
            fn widen(self) -> u64 {
                u64::from(self)
            }

            #[inline(always)]
            fn truncate(value: u64) -> Self {
                value as Self
            }
        }
    };
}

width!(u8, "ldrb {value:w}, [{from}]", "strb {value:w}, [{to}]");
width!(u16, "ldrh {value:w}, [{from}]", "strh {value:w}, [{to}]");
width!(u32, "ldr {value:w}, [{from}]", "str {value:w}, [{to}]");
width!(u64, "ldr {value:x}, [{from}]", "str {value:x}, [{to}]");

/// A way to a device's registers, or to memory that a device shares: offsets from the base of one range.
///
/// Implementations panic on an offset outside of their range or not aligned to the width: offsets are a driver's own,
/// checked there where they come from elsewhere.
pub trait Io {
    /// Loads from `offset` bytes behind the base.
    fn load<T: Width>(&self, offset: usize) -> T;

    /// Stores to `offset` bytes behind the base.
    fn store<T: Width>(&self, offset: usize, value: T);

    /// Makes all stores so far visible to devices before any store that follows.
    fn publish(&self);

    /// Lets no load that follows happen before the loads so far.
    fn observe(&self);

    /// The register `register` behind the base.
    #[inline(always)]
    fn at<T: Width, R: RegisterLongName, A>(&self, register: Register<T, R, A>) -> At<'_, Self, T, R, A> {
        At {
            io: self,
            offset: register.offset,
            of: PhantomData,
        }
    }
}

/// Marks a register that software may read.
pub trait CanRead {}

/// Marks a register that software may write.
pub trait CanWrite {}

/// Read and write.
pub struct ReadWrite;
/// Read only.
pub struct ReadOnly;
/// Write only.
pub struct WriteOnly;

impl CanRead for ReadWrite {}
impl CanWrite for ReadWrite {}
impl CanRead for ReadOnly {}
impl CanWrite for WriteOnly {}

/// A register of a block: where it is, how wide, with which fields, and what may be done with it.
pub struct Register<T, R, A> {
    offset: usize,
    of: PhantomData<(T, R, A)>,
}

/// A register that is read and written.
pub type Rw<T, R = ()> = Register<T, R, ReadWrite>;
/// A register that is only read.
pub type Ro<T, R = ()> = Register<T, R, ReadOnly>;
/// A register that is only written.
pub type Wo<T, R = ()> = Register<T, R, WriteOnly>;

impl<T: Width, R, A> Register<T, R, A> {
    /// The register `offset` bytes behind the base of its block.
    #[must_use]
    pub const fn new(offset: usize) -> Self {
        assert!(offset.is_multiple_of(T::BYTES), "a register is aligned to its width");
        Self {
            offset,
            of: PhantomData,
        }
    }

    /// How far behind the base it is, in bytes.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.offset
    }
}

impl<T, R, A> Clone for Register<T, R, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, R, A> Copy for Register<T, R, A> {}

/// A register within reach.
pub struct At<'a, I: ?Sized, T, R, A> {
    io: &'a I,
    offset: usize,
    of: PhantomData<(T, R, A)>,
}

impl<I: Io + ?Sized, T: Width, R: RegisterLongName, A: CanRead> Readable for At<'_, I, T, R, A> {
    type T = T;
    type R = R;

    #[inline(always)]
    fn get(&self) -> T {
        self.io.load(self.offset)
    }
}

impl<I: Io + ?Sized, T: Width, R: RegisterLongName, A: CanWrite> Writeable for At<'_, I, T, R, A> {
    type T = T;
    type R = R;

    #[inline(always)]
    fn set(&self, value: T) {
        self.io.store(self.offset, value);
    }
}

/// A part of what an [`Io`] reaches, such as one frame of many.
pub struct Window<'a, I: ?Sized> {
    io: &'a I,
    base: usize,
    len: usize,
}

impl<'a, I: Io + ?Sized> Window<'a, I> {
    /// The `len` bytes that begin `base` bytes behind the base of `io`.
    pub const fn new(io: &'a I, base: usize, len: usize) -> Self {
        Self { io, base, len }
    }

    #[inline(always)]
    fn behind<T: Width>(&self, offset: usize) -> usize {
        if offset.checked_add(T::BYTES).is_none_or(|end| end > self.len) {
            outside(offset);
        }
        self.base + offset
    }
}

impl<I: Io + ?Sized> Io for Window<'_, I> {
    #[inline(always)]
    fn load<T: Width>(&self, offset: usize) -> T {
        self.io.load(self.behind::<T>(offset))
    }

    #[inline(always)]
    fn store<T: Width>(&self, offset: usize, value: T) {
        self.io.store(self.behind::<T>(offset), value);
    }

    #[inline(always)]
    fn publish(&self) {
        self.io.publish();
    }

    #[inline(always)]
    fn observe(&self) {
        self.io.observe();
    }
}

/// A mapped range of device registers, or of memory that a device shares.
#[derive(Debug)]
pub struct Mmio {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the base is not thread-local, and access by `load` and `store` is single-copy atomic; what the accesses mean
// to the device is the driver's concern.
unsafe impl Send for Mmio {}
// SAFETY: as for `Send`; `load` and `store` race as atomics do.
unsafe impl Sync for Mmio {}

impl Mmio {
    /// The range of physical addresses `range`, where virtual addresses are physical ones.
    ///
    /// # Safety
    /// For as long as the value (or what it was given to) lives: `range` is mapped at its own addresses, readable and
    /// writable; it is of device type if it is registers, else write-back memory that nothing else in the program
    /// refers to; and no access to it that the driver at hand makes can break the program's memory.
    ///
    /// # Panics
    /// When `range` starts at address zero or is larger than the address space.
    #[must_use]
    pub unsafe fn identity(range: PhysRange) -> Self {
        let address = usize::try_from(range.start().get()).expect("a machine of 64 bits");
        Self {
            base: NonNull::new(core::ptr::with_exposed_provenance_mut(address)).expect("not address zero"),
            len: usize::try_from(range.len()).expect("a machine of 64 bits"),
        }
    }

    #[inline(always)]
    fn pointer<T: Width>(&self, offset: usize) -> *mut T {
        let inside = offset.is_multiple_of(T::BYTES) && offset.checked_add(T::BYTES).is_some_and(|end| end <= self.len);
        if !inside {
            outside(offset);
        }
        // SAFETY: `offset` is within the range that `identity`'s caller vouched for.
        unsafe { self.base.as_ptr().add(offset).cast() }
    }
}

#[cold]
#[inline(never)]
fn outside(offset: usize) -> ! {
    panic!("no register at offset {offset:#x}")
}

impl Io for Mmio {
    #[inline(always)]
    fn load<T: Width>(&self, offset: usize) -> T {
        // SAFETY: `pointer` has checked bounds and alignment within the range that `identity`'s caller vouched for.
        unsafe { T::load(self.pointer(offset)) }
    }

    #[inline(always)]
    fn store<T: Width>(&self, offset: usize, value: T) {
        // SAFETY: as in `load`.
        unsafe { T::store(self.pointer(offset), value) }
    }

    #[inline(always)]
    fn publish(&self) {
        cpu::dsb_st();
    }

    #[inline(always)]
    fn observe(&self) {
        cpu::dsb_ld();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_memory_map::PhysAddr;
    use tock_registers::interfaces::ReadWriteable;
    use tock_registers::register_bitfields;

    register_bitfields![u32, CR [ EN OFFSET(0) NUMBITS(1) [], SIZE OFFSET(4) NUMBITS(4) [] ]];
    const CR: Rw<u32, CR::Register> = Rw::new(4);

    fn over(memory: &mut [u64; 2]) -> Mmio {
        let start = PhysAddr::new(memory.as_mut_ptr().expose_provenance() as u64);
        // SAFETY: the array is plain memory of this process, borrowed for the test.
        unsafe { Mmio::identity(PhysRange::new(start, 16).unwrap()) }
    }

    #[test]
    fn each_width_reaches_its_own_bytes() {
        let mut memory = [0u64; 2];
        let io = over(&mut memory);
        io.store::<u8>(1, 0x12);
        io.store::<u16>(2, 0x3456);
        io.at(CR).write(CR::EN::SET + CR::SIZE.val(5));
        io.store::<u64>(8, 0x0123_4567_89ab_cdef);
        assert_eq!(io.load::<u64>(0), 0x0000_0051_3456_1200);
        assert_eq!(io.load::<u32>(12), 0x0123_4567);
        io.at(CR).modify(CR::SIZE.val(2));
        assert_eq!((io.at(CR).read(CR::SIZE), io.at(CR).is_set(CR::EN)), (2, true));
    }

    #[test]
    #[should_panic(expected = "no register at offset 0x10")]
    fn nothing_is_behind_the_end() {
        let mut memory = [0u64; 2];
        let _: u32 = over(&mut memory).load(16);
    }

    #[test]
    #[should_panic(expected = "no register at offset 0x8")]
    fn nothing_is_behind_the_end_of_a_window() {
        let mut memory = [1u64; 2];
        let io = over(&mut memory);
        let window = Window::new(&io, 4, 8);
        window.store::<u32>(4, 7);
        assert_eq!(io.load::<u32>(8), 7);
        let _: u32 = window.load(8);
    }

    #[test]
    #[should_panic(expected = "no register at offset 0x6")]
    fn nothing_straddles() {
        let mut memory = [0u64; 2];
        let _: u32 = over(&mut memory).load(6);
    }
}
