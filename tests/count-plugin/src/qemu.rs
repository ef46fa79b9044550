//! The part of QEMU's plugin interface that is used here (`include/qemu/qemu-plugin.h`, version 4), and safe wrappers.
//!
//! QEMU resolves the symbols from its own export table when it loads the plugin.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// The interface version that this plugin speaks.
pub const VERSION: c_int = 4;

/// A counter a vCPU: an offset into each vCPU's part of a scoreboard.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Counter {
    scoreboard: *mut c_void,
    offset: usize,
}

// SAFETY: the scoreboard is QEMU's, lives as long as the process, and QEMU's functions on it may be called on any
// thread.
unsafe impl Send for Counter {}
// SAFETY: as above.
unsafe impl Sync for Counter {}

/// A CPU's register, as QEMU names it.
#[derive(Clone, Copy)]
pub struct Register(*mut c_void);

// SAFETY: the handle is a number to QEMU alone, which it resolves for the CPU that runs on the calling thread.
unsafe impl Send for Register {}
// SAFETY: as above.
unsafe impl Sync for Register {}

/// glib's `GArray` and `GByteArray`, as far as they are public.
#[repr(C)]
struct Array {
    data: *mut c_void,
    len: c_uint,
}

/// `qemu_plugin_reg_descriptor`.
#[repr(C)]
struct RegisterDescriptor {
    handle: *mut c_void,
    name: *const c_char,
    feature: *const c_char,
}

/// An instruction being translated.
#[derive(Clone, Copy)]
pub struct Instruction(*mut c_void);

unsafe extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: extern "C" fn(u64, *mut c_void));
    fn qemu_plugin_tb_n_insns(block: *const c_void) -> usize;
    fn qemu_plugin_tb_get_insn(block: *const c_void, index: usize) -> *mut c_void;
    fn qemu_plugin_insn_data(instruction: *const c_void, into: *mut c_void, len: usize) -> usize;
    fn qemu_plugin_insn_vaddr(instruction: *const c_void) -> u64;
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut c_void,
        callback: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        user: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        instruction: *mut c_void,
        operation: c_int,
        counter: Counter,
        value: u64,
    );
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut c_void;
    fn qemu_plugin_num_vcpus() -> c_int;
    fn qemu_plugin_u64_get(counter: Counter, vcpu: c_uint) -> u64;
    fn qemu_plugin_register_vcpu_init_cb(id: u64, callback: extern "C" fn(u64, c_uint));
    fn qemu_plugin_get_registers() -> *mut Array;
    fn qemu_plugin_read_register(register: *mut c_void, into: *mut Array) -> c_int;
    fn g_byte_array_new() -> *mut Array;
    fn g_byte_array_free(array: *mut Array, free_segment: c_int) -> *mut u8;
    fn g_array_free(array: *mut Array, free_segment: c_int) -> *mut c_char;
    fn qemu_plugin_register_atexit_cb(id: u64, callback: extern "C" fn(u64, *mut c_void), user: *mut c_void);
}

/// `QEMU_PLUGIN_INLINE_ADD_U64`.
const ADD: c_int = 0;
/// `QEMU_PLUGIN_CB_NO_REGS`.
const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_CB_R_REGS`.
const READS_REGISTERS: c_int = 1;

/// Makes `N` counters, all zero.
pub fn counters<const N: usize>() -> [Counter; N] {
    // SAFETY: called from the install function, where QEMU allows it.
    let scoreboard = unsafe { qemu_plugin_scoreboard_new(N * size_of::<u64>()) };
    std::array::from_fn(|index| Counter {
        scoreboard,
        offset: index * size_of::<u64>(),
    })
}

impl Counter {
    /// The value on `vcpu`, which must exist.
    pub fn get(self, vcpu: c_uint) -> u64 {
        // SAFETY: the counter lies in the scoreboard that `counters` made.
        unsafe { qemu_plugin_u64_get(self, vcpu) }
    }

    /// The sum over all vCPUs that exist.
    pub fn sum(self) -> u64 {
        (0..vcpus()).map(|vcpu| self.get(vcpu)).sum()
    }
}

/// How many vCPUs there are.
fn vcpus() -> c_uint {
    // SAFETY: no arguments, allowed in every callback.
    unsafe { qemu_plugin_num_vcpus() }.try_into().unwrap_or(0)
}

/// The registers of the CPU that runs on this thread, by name. For a callback of that CPU's.
pub fn registers() -> Vec<(String, Register)> {
    // SAFETY: called in a CPU's callback, as QEMU asks. It gives an array of descriptors whose names it keeps, and which
    // is the caller's to free.
    unsafe {
        let array = qemu_plugin_get_registers();
        let descriptors = std::slice::from_raw_parts((*array).data.cast::<RegisterDescriptor>(), (*array).len as usize);
        let named = descriptors.iter().map(|descriptor| {
            let name = CStr::from_ptr(descriptor.name).to_string_lossy().into_owned();
            (name, Register(descriptor.handle))
        });
        let registers = named.collect();
        g_array_free(array, 1);
        registers
    }
}

impl Register {
    /// Its value on the CPU that runs on this thread, of at most 64 bits. For a callback that may read registers.
    pub fn read(self) -> Option<u64> {
        // SAFETY: the handle came from QEMU; the array is made and freed here.
        unsafe {
            let array = g_byte_array_new();
            let length = usize::try_from(qemu_plugin_read_register(self.0, array)).ok();
            let value = length.filter(|length| (1..=8).contains(length)).map(|length| {
                let mut bytes = [0; 8];
                bytes[..length].copy_from_slice(std::slice::from_raw_parts((*array).data.cast::<u8>(), length));
                u64::from_le_bytes(bytes)
            });
            g_byte_array_free(array, 1);
            value
        }
    }
}

/// Calls `cpu` on each CPU's thread when it is there, `translated` for each block of instructions that QEMU translates,
/// `done` when it exits.
pub fn register(
    id: u64,
    cpu: extern "C" fn(u64, c_uint),
    translated: extern "C" fn(u64, *mut c_void),
    done: extern "C" fn(u64, *mut c_void),
) {
    // SAFETY: `id` is the one that QEMU gave to the install function; the callbacks are functions of the process.
    unsafe {
        qemu_plugin_register_vcpu_init_cb(id, cpu);
        qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        qemu_plugin_register_atexit_cb(id, done, std::ptr::null_mut());
    }
}

/// The instructions of a block.
///
/// # Safety
/// `block` is what QEMU passed to the translation callback that is running.
pub unsafe fn instructions(block: *mut c_void) -> impl Iterator<Item = Instruction> {
    // SAFETY: the caller's promise.
    let count = unsafe { qemu_plugin_tb_n_insns(block) };
    // SAFETY: the caller's promise, and the index is below the count.
    (0..count).map(move |index| Instruction(unsafe { qemu_plugin_tb_get_insn(block, index) }))
}

impl Instruction {
    /// Its address.
    pub fn address(self) -> u64 {
        // SAFETY: made by `instructions` within the callback.
        unsafe { qemu_plugin_insn_vaddr(self.0) }
    }

    /// Its encoding.
    pub fn word(self) -> u32 {
        let mut word = [0; 4];
        // SAFETY: as above; the buffer has the length given.
        unsafe { qemu_plugin_insn_data(self.0, word.as_mut_ptr().cast(), word.len()) };
        u32::from_le_bytes(word)
    }

    /// Adds 1 to `counter` whenever it runs.
    pub fn count(self, counter: Counter) {
        // SAFETY: as above; the counter is QEMU's.
        unsafe { qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(self.0, ADD, counter, 1) }
    }

    /// Calls `callback` with the vCPU and `user` before it runs.
    pub fn call(self, callback: extern "C" fn(c_uint, *mut c_void), user: usize) {
        self.call_reading(callback, NO_REGISTERS, user);
    }

    /// As [`Instruction::call`], for a callback that reads registers.
    pub fn call_with_registers(self, callback: extern "C" fn(c_uint, *mut c_void), user: usize) {
        self.call_reading(callback, READS_REGISTERS, user);
    }

    fn call_reading(self, callback: extern "C" fn(c_uint, *mut c_void), registers: c_int, user: usize) {
        // SAFETY: as above; `user` is a number that only travels as a pointer.
        unsafe { qemu_plugin_register_vcpu_insn_exec_cb(self.0, callback, registers, user as *mut c_void) }
    }
}

/// The plugin's arguments, `key=value` each.
///
/// # Safety
/// `arguments` points at `count` pointers to terminated strings, as QEMU passes them to the install function.
pub unsafe fn arguments(count: c_int, arguments: *const *const c_char) -> Vec<String> {
    (0..usize::try_from(count).unwrap_or(0))
        .map(|index| {
            // SAFETY: the caller's promise.
            let text = unsafe { CStr::from_ptr(*arguments.add(index)) };
            text.to_string_lossy().into_owned()
        })
        .collect()
}
