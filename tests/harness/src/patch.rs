//! EL2's image with a few instructions changed, to see what comes of a machine or of an EL2 that is broken.

use crate::machine::Board;
use object::{Object, ObjectSymbol};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Where QEMU puts EL2's image, which starts with an arm64 `Image` header whose first instruction branches behind it.
const BASE: u64 = 0x4020_0000;
/// Reserved words of that header: room for five instructions.
const SPARE: usize = 32;
/// `b .`: the distance in words is in bits 25 to 0 (Arm ARM C6.2, B).
const BRANCH: u32 = 0x1400_0000;
const BRANCH_MASK: u32 = 0xfc00_0000;
/// `movz x0, #0, lsl #16`: the operand is in bits 20 to 5 (Arm ARM C6.2, MOVZ).
const MOV_X0: u32 = 0xd2a0_0000;
/// `udf #0` is undefined at every exception level (Arm ARM C6.2, UDF).
const UNDEFINED: u32 = 0;

type Failure = Box<dyn Error + Send + Sync>;

/// An image of EL2's in the making; its ELF file stays what it is.
pub(crate) struct Patch {
    elf: PathBuf,
    image: Vec<u8>,
}

impl Patch {
    /// The board's image as it is.
    pub(crate) fn new(board: &Board) -> Result<Patch, Failure> {
        Ok(Patch {
            elf: board.elf.clone(),
            image: fs::read(&board.image)?,
        })
    }

    /// The address of the function with this word in its symbol.
    pub(crate) fn address(&self, name: &str) -> Result<u64, Failure> {
        let elf = fs::read(&self.elf)?;
        let elf = object::File::parse(&*elf)?;
        let mut symbols = elf.symbols();
        let symbol = symbols.find(|symbol| symbol.name().is_ok_and(|symbol| symbol.contains(name)));
        let symbol = symbol.ok_or_else(|| format!("{} has no function {name}", self.elf.display()))?;
        Ok(symbol.address())
    }

    /// Makes the function with this word in its symbol fail at its first instruction.
    pub(crate) fn break_function(mut self, name: &str) -> Result<Patch, Failure> {
        let at = usize::try_from(self.address(name)? - BASE)?;
        self.set(at, UNDEFINED)?;
        Ok(self)
    }

    /// Replaces an instruction near the beginning of a function.
    pub(crate) fn replace_in(mut self, name: &str, from: u32, to: u32) -> Result<Patch, Failure> {
        const NEAR: usize = 16;
        let at = usize::try_from(self.address(name)? - BASE)?;
        let code = self.image.get(at..at + 4 * NEAR).ok_or("that is not in the image")?;
        let number = code.chunks_exact(4).position(|word| word == from.to_le_bytes());
        let number = number.ok_or_else(|| format!("{name} has no instruction {from:#010x} near its beginning"))?;
        self.set(at + 4 * number, to)?;
        Ok(self)
    }

    /// Starts with this device tree, whose address is a multiple of 64 KiB, instead of the one that QEMU hands over.
    pub(crate) fn start_with_tree(mut self, address: u32) -> Result<Patch, Failure> {
        let first = u32::from_le_bytes(self.image[..4].try_into()?);
        if first & BRANCH_MASK != BRANCH {
            return Err(format!("EL2's image starts with {first:#010x}, which is no branch ahead").into());
        }
        let spare = u32::try_from(SPARE / 4)?;
        self.set(0, BRANCH | spare)?;
        self.set(SPARE, MOV_X0 | (address >> 16) << 5)?;
        self.set(SPARE + 4, first - spare - 1)?;
        Ok(self)
    }

    /// Writes the image.
    pub(crate) fn write(self, path: &Path) -> Result<Board, Failure> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, self.image)?;
        Ok(Board {
            elf: self.elf,
            image: path.to_owned(),
        })
    }

    fn set(&mut self, at: usize, instruction: u32) -> Result<(), Failure> {
        let place = self.image.get_mut(at..at + 4).ok_or("that is not in the image")?;
        place.copy_from_slice(&instruction.to_le_bytes());
        Ok(())
    }
}
