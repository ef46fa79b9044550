//! A guest: where it has its memory, how it is run, and what it says.

use crate::device::{Device, Exit};
use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::alarm;
use std::time::{Duration, Instant};

/// What the hypervisor needs for the device tree that it writes.
const TREE: u64 = 8192;
/// A guest that waits is asked again after this.
const PAUSE: Duration = Duration::from_millis(1);

/// A guest that does nothing but run: `b .`.
pub const SPIN: [u8; 4] = 0x1400_0000_u32.to_le_bytes();

/// Where a guest has what.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Layout {
    /// How much memory to lend.
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = crate::size::parse)]
    pub mem: u64,
    /// Where the guest has it.
    #[arg(long, value_name = "IPA", default_value = "0x4000_0000", value_parser = crate::size::parse)]
    pub ipa: u64,
    /// How far from the start of its memory the image is loaded and entered.
    #[arg(long, value_name = "OFFSET", default_value = "0", value_parser = crate::size::parse)]
    pub load_offset: u64,
}

impl Layout {
    /// Where the image is loaded and entered, when it and the device tree fit.
    ///
    /// # Errors
    /// When they do not.
    pub fn entry(&self, image: &[u8]) -> Result<u64> {
        let end = self
            .load_offset
            .checked_add(image.len() as u64)
            .and_then(|end| end.checked_add(TREE));
        if end.is_none_or(|end| end > self.mem) {
            bail!(
                "an image of {:#x} bytes at offset {:#x} does not fit {:#x}",
                image.len(),
                self.load_offset,
                self.mem
            );
        }
        self.ipa
            .checked_add(self.load_offset)
            .context("the entry is beyond 64 bits")
    }

    /// Where the device tree is written: at the end of the memory.
    pub fn device_tree(&self) -> u64 {
        self.ipa.wrapping_add(self.mem).wrapping_sub(TREE)
    }

    /// The length of the memory.
    pub fn length(&self) -> usize {
        self.mem as usize
    }
}

/// Loads an image into the memory of a VM and makes it ready to run.
///
/// # Errors
/// When it does not fit, or the driver's.
pub fn start(device: &Device, layout: &Layout, image: &[u8]) -> Result<()> {
    let entry = layout.entry(image)?;
    device.load(image, entry).context("cannot load the image")?;
    device
        .start(entry, layout.device_tree())
        .context("cannot start the guest")
}

/// What a guest has said.
#[derive(Debug, Default)]
pub struct Console {
    text: Vec<u8>,
    /// How much of it has been shown.
    shown: usize,
}

impl Console {
    /// Takes what is there, and passes whole lines on.
    fn take(&mut self, device: &Device, show: &mut dyn FnMut(&str)) -> Result<()> {
        device.console(&mut self.text)?;
        while let Some(length) = self.text[self.shown..].iter().position(|&byte| byte == b'\n') {
            show(String::from_utf8_lossy(&self.text[self.shown..self.shown + length]).trim_end());
            self.shown += length + 1;
        }
        Ok(())
    }

    /// Whether a line is what `wanted` says.
    pub fn has(&self, wanted: &str) -> bool {
        String::from_utf8_lossy(&self.text)
            .lines()
            .any(|line| line.trim() == wanted)
    }
}

/// Runs a guest until `done` says so of an exit, and passes its lines on meanwhile.
///
/// # Errors
/// When it ends otherwise, when it takes longer than `limit`, and the driver's.
pub fn run_until(
    device: &Device,
    console: &mut Console,
    limit: Duration,
    show: &mut dyn FnMut(&str),
    done: impl Fn(Exit, &Console) -> bool,
) -> Result<Exit> {
    let start = Instant::now();
    wake_by_alarm()?;
    loop {
        // A run ends with a signal, at the latest; so does the last second of a guest that never comes back.
        alarm::set(1);
        let exit = device.run();
        alarm::cancel();
        console.take(device, show)?;
        match exit {
            Ok(exit) if done(exit, console) => return Ok(exit),
            Ok(Exit::Wait) => std::thread::sleep(PAUSE),
            Ok(Exit::Console) | Err(Errno::EINTR) => {}
            Ok(exit) => bail!("the guest has ended: {}", describe(exit)),
            Err(error) => return Err(error).context("cannot run the guest"),
        }
        if start.elapsed() > limit {
            bail!("the guest is still at it after {limit:?}");
        }
    }
}

/// Has SIGALRM interrupt system calls and do nothing else.
fn wake_by_alarm() -> Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &action) }.context("cannot handle SIGALRM")?;
    Ok(())
}

/// Says why a run ended.
pub fn describe(exit: Exit) -> String {
    match exit {
        Exit::Wait => "waits for an interrupt".into(),
        Exit::Console => "has filled its console".into(),
        Exit::Off => "switched itself off".into(),
        Exit::Reset => "asked for a reset".into(),
        Exit::Crashed { esr, ipa, pc } => format!("crashed, ESR_EL2 {esr:#x}, IPA {ipa:#x}, PC {pc:#x}"),
        Exit::Taken { esr, ipa, pc } => {
            format!("touched memory that was taken from it, ESR_EL2 {esr:#x}, IPA {ipa:#x}, PC {pc:#x}")
        }
        Exit::Unknown(reason) => format!("exit reason {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_and_tree_have_to_fit() {
        let layout = Layout {
            mem: 16384,
            ipa: 0x4000_0000,
            load_offset: 4096,
        };
        assert_eq!(layout.entry(&[0; 4096]).unwrap(), 0x4000_1000);
        assert_eq!(layout.device_tree(), 0x4000_2000);
        assert!(layout.entry(&[0; 4097]).is_err());
        let layout = Layout {
            load_offset: u64::MAX,
            ..layout
        };
        assert!(layout.entry(&[0; 1]).is_err());
    }

    #[test]
    fn lines_are_compared_whole() {
        let console = Console {
            text: b"LH-GUEST tree ok\r\nLH-GUEST read".to_vec(),
            shown: 0,
        };
        assert!(console.has("LH-GUEST tree ok"));
        assert!(!console.has("LH-GUEST tree"));
        assert!(!console.has("LH-GUEST ready"));
    }
}
