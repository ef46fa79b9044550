//! QEMU's debugger port: a machine that is stopped where a test wants it, and looked into from outside.
//!
//! The protocol is that of GDB's manual, appendix E. Memory is read by physical address (`Qqemu.PhyMemMode`), so that
//! nothing of what is looked at stands between.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the port may take to be there, and an answer to come.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest read that is asked for at once, in bytes: the answer has two digits for each.
const CHUNK: usize = 1024;

/// A connection. As long as there is one, the machine can be stopped.
pub struct Gdb {
    stream: UnixStream,
    /// What has come and not been taken.
    pending: Vec<u8>,
    /// The numbers of the system registers.
    registers: BTreeMap<String, u32>,
}

impl Gdb {
    /// Connects to a machine that was started with `-S -gdb unix:PATH,server=on,wait=off`.
    ///
    /// # Errors
    /// When the port is not there in time, or its answers are not understood.
    pub fn connect(path: &Path) -> io::Result<Gdb> {
        let until = Instant::now() + LIMIT;
        let stream = loop {
            match UnixStream::connect(path) {
                Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
                other => break other?,
            }
        };
        stream.set_read_timeout(Some(LIMIT))?;
        let mut gdb = Gdb {
            stream,
            pending: Vec::new(),
            registers: BTreeMap::new(),
        };
        // Without these words the port does not describe the registers.
        gdb.ask("qSupported:qXfer:features:read+;xmlRegisters=aarch64")?;
        gdb.registers = numbers(&gdb.system_registers()?);
        gdb.expect("Qqemu.PhyMemMode:1", "OK")?;
        Ok(gdb)
    }

    /// Stops whichever CPU comes to that virtual address, whatever is mapped there.
    ///
    /// # Errors
    /// When it is refused.
    pub fn set_breakpoint(&mut self, address: u64) -> io::Result<()> {
        self.expect(&format!("Z1,{address:x},4"), "OK")
    }

    /// Forgets such an address.
    ///
    /// # Errors
    /// When it is refused.
    pub fn clear_breakpoint(&mut self, address: u64) -> io::Result<()> {
        self.expect(&format!("z1,{address:x},4"), "OK")
    }

    /// Lets all CPUs go on until something stops them. Returns what that was, as the protocol has it: `T05thread:…` for a
    /// breakpoint.
    ///
    /// # Errors
    /// When nothing stops them in time.
    pub fn go_on(&mut self) -> io::Result<String> {
        self.ask("vCont;c")
    }

    /// The same with one CPU alone; the others stay where they are.
    ///
    /// # Errors
    /// When nothing stops it in time.
    pub fn go_on_alone(&mut self, cpu: u32) -> io::Result<String> {
        self.ask(&format!("vCont;c:p1.{:x}", cpu + 1))
    }

    /// A system register of a CPU, by the name that the architecture gives it.
    ///
    /// # Errors
    /// When there is no such CPU or register.
    pub fn register(&mut self, cpu: u32, name: &str) -> io::Result<u64> {
        let number = *self
            .registers
            .get(name)
            .ok_or_else(|| io::Error::other(format!("no {name}")))?;
        self.expect(&format!("Hgp1.{:x}", cpu + 1), "OK")?;
        let answer = self.ask(&format!("p{number:x}"))?;
        let bytes = bytes(&answer)?;
        let value = bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        value.ok_or_else(|| io::Error::other(format!("{name} is {answer:?}")))
    }

    /// Reads physical memory, or a device's registers.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&mut self, address: u64, into: &mut [u8]) -> io::Result<()> {
        let mut at = address;
        for part in into.chunks_mut(CHUNK) {
            let answer = self.ask(&format!("m{at:x},{:x}", part.len()))?;
            let bytes = bytes(&answer)?;
            if bytes.len() != part.len() {
                return Err(io::Error::other(format!("{at:#x}: {answer:?}")));
            }
            part.copy_from_slice(&bytes);
            at += part.len() as u64;
        }
        Ok(())
    }

    /// The description of the system registers, which comes in pieces.
    fn system_registers(&mut self) -> io::Result<String> {
        // The port makes it when it is asked for the whole first.
        self.ask("qXfer:features:read:target.xml:0,ffb")?;
        let mut text = String::new();
        loop {
            let offset = text.len();
            let part = self.ask(&format!("qXfer:features:read:system-registers.xml:{offset:x},800"))?;
            match part.split_at_checked(1) {
                Some(("m", more)) => text += more,
                Some(("l", last)) => return Ok(text + last),
                _ => return Err(io::Error::other(format!("no description of registers: {part:?}"))),
            }
        }
    }

    fn expect(&mut self, packet: &str, wanted: &str) -> io::Result<()> {
        match self.ask(packet)? {
            answer if answer == wanted => Ok(()),
            answer => Err(io::Error::other(format!("`{packet}` is answered by {answer:?}"))),
        }
    }

    fn ask(&mut self, packet: &str) -> io::Result<String> {
        self.send(packet)?;
        self.receive()
    }

    fn send(&mut self, packet: &str) -> io::Result<()> {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        let mut framed = format!("${packet}");
        let _ = write!(framed, "#{sum:02x}");
        self.stream.write_all(framed.as_bytes())
    }

    /// The next packet, which is acknowledged.
    fn receive(&mut self) -> io::Result<String> {
        loop {
            let start = self.pending.iter().position(|&byte| byte == b'$');
            let end = self.pending.iter().position(|&byte| byte == b'#');
            if let (Some(start), Some(end)) = (start, end)
                && end + 2 < self.pending.len()
            {
                let text = String::from_utf8_lossy(&self.pending[start + 1..end]).into_owned();
                self.pending.drain(..end + 3);
                self.stream.write_all(b"+")?;
                return Ok(text);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.pending.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// The registers of a description, with their numbers: `<reg name="VTTBR_EL2" … regnum="123" …/>`.
fn numbers(description: &str) -> BTreeMap<String, u32> {
    let attribute = |tag: &str, name: &str| {
        let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    let tags = description.split("<reg").skip(1);
    let named = tags.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "regnum")?.parse().ok()?)));
    named.collect()
}

fn bytes(digits: &str) -> io::Result<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    pairs
        .map(|pair| byte(pair).ok_or_else(|| io::Error::other(format!("no bytes: {digits:?}"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_found_by_name() {
        let text = r#"<feature name="x"><reg name="VTCR_EL2" bitsize="64" regnum="93" group="cp_regs"/>
            <reg name="VTTBR_EL2" bitsize="64" regnum="97"/><reg name="broken"/></feature>"#;
        let numbers = numbers(text);
        assert_eq!((numbers["VTCR_EL2"], numbers["VTTBR_EL2"], numbers.len()), (93, 97, 2));
    }

    #[test]
    fn bytes_are_pairs_of_digits() {
        assert_eq!(bytes("00ff7a").unwrap(), [0, 0xff, 0x7a]);
        assert!(bytes("E14").is_err());
        assert!(bytes("zz").is_err());
    }
}
