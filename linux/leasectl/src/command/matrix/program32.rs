//! A 32-bit process that reads lent memory. It has the page of a memfd, which this process lends.

use super::lent::Lent;
use super::seen::Seen;
use crate::memory::PAGE;
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// The access's name.
pub const NAME: &str = "user32-read";

/// Where the program is loaded.
const BASE: u32 = 0x1_0000;
/// Length of an ELF-32 header and of a program header.
const HEADERS: u32 = 52 + 32;
/// Its status when it has come behind the access.
const READ: i32 = 42;

/// A32: maps a page of standard input, shared, reads it, and exits with [`READ`].
const CODE: [u32; 12] = [
    0xe3a0_0000, // mov r0, #0
    0xe3a0_1a01, // mov r1, #4096
    0xe3a0_2003, // mov r2, #3 (PROT_READ | PROT_WRITE)
    0xe3a0_3001, // mov r3, #1 (MAP_SHARED)
    0xe3a0_4000, // mov r4, #0 (standard input)
    0xe3a0_5000, // mov r5, #0
    0xe3a0_70c0, // mov r7, #192 (mmap2)
    0xef00_0000, // svc #0
    0xe590_1000, // ldr r1, [r0]
    0xe3a0_002a, // mov r0, #42
    0xe3a0_7001, // mov r7, #1 (exit)
    0xef00_0000, // svc #0
];

/// Has a 32-bit process read a lent page.
pub fn read() -> Result<Seen> {
    let file = File::from(memfd_create(c"lent", MFdFlags::MFD_CLOEXEC).context("cannot make a memfd")?);
    file.set_len(PAGE as u64)?;
    let path = "/tmp/program32";
    fs::write(path, program())?;
    fs::set_permissions(path, Permissions::from_mode(0o755))?;
    // Before anything is lent: whether there are 32-bit processes at all.
    let tried = Command::new(path).stdin(file.try_clone()?).status();
    match tried {
        Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => return Ok(Seen::Skipped("no-aarch32")),
        Err(error) => return Err(error).context("cannot run a 32-bit program"),
        Ok(status) if status.code() != Some(READ) => bail!("the 32-bit program ended with {status}"),
        Ok(_) => {}
    }
    let _lent = Lent::of_file(&file)?;
    let status = Command::new(path).stdin(file).status()?;
    match (status.code(), status.signal()) {
        (Some(READ), _) => Ok(Seen::Done),
        (_, Some(signal)) => Ok(Seen::Killed(Signal::try_from(signal)?)),
        _ => bail!("the 32-bit program ended with {status}"),
    }
}

/// The program, an ELF file (System V ABI, chapters 4 and 5; ELF for the Arm Architecture, EABI version 5).
fn program() -> Vec<u8> {
    let length = HEADERS + 4 * CODE.len() as u32;
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 1, 1, 1];
    bytes.resize(16, 0);
    // An executable, for ARM.
    bytes.extend([2, 0, 40, 0]);
    let mut words = vec![1, BASE + HEADERS, 52, 0, 0x0500_0200];
    // Sizes and numbers of headers, as pairs of half words.
    words.extend([52 | 32 << 16, 1 | 40 << 16, 0]);
    // One segment, of all the file, readable and executable.
    words.extend([1, 0, BASE, BASE, length, length, 5, 0x1000]);
    words.extend(CODE);
    bytes.extend(words.iter().flat_map(|word: &u32| word.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_where_they_belong() {
        let program = program();
        assert_eq!(program.len(), HEADERS as usize + 4 * CODE.len());
        let word = |at: usize| u32::from_le_bytes(program[at..at + 4].try_into().unwrap());
        assert_eq!((word(24), word(28)), (BASE + HEADERS, 52), "entry and program headers");
        assert_eq!((word(52), word(HEADERS as usize)), (1, CODE[0]), "segment and code");
    }
}
