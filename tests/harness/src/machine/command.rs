//! The command line of a machine's QEMU.

use super::{Board, Gic, Loader, Machine};
use crate::error::Error;
use crate::hardware::{Hardware, Module};
use crate::image::ImageHeader;
use crate::layout::{Layout, MIB};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// What is kept for EL2's image, in bytes; its tables take the rest of its share of memory.
const BOARD_LIMIT: u64 = 32 * MIB;

impl Machine {
    /// The arguments for QEMU, with sockets at these paths for the host's console, EL2's log and QEMU's monitor.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be, or memory does not hold them all.
    pub fn arguments(&self, host: &Path, el2: &Path, monitor: &Path) -> Result<Vec<OsString>, Error> {
        let mut args = Arguments::default();
        args.add("-name", &self.name);
        self.hardware_arguments(&mut args);
        args.add("-smp", self.smp.to_string());
        args.add("-m", format!("{}M", self.memory / MIB));
        args.flags(&["-nodefaults", "-nographic", "-no-reboot"]);
        args.add("-nic", "none");
        args.socket("host", host);
        let mut ports = vec!["chardev:host"];
        if self.board.is_some() {
            args.socket("el2", el2);
            ports.push("chardev:el2");
        }
        if self.hardware.logs_first() {
            ports.reverse();
        }
        for port in ports {
            args.add("-serial", port);
        }
        args.socket("monitor", monitor);
        args.add("-monitor", "chardev:monitor");
        if self.edu {
            args.add("-device", "edu,bus=pcie.0,dma_mask=0xffffffff");
        }
        if let Some(port) = self.gdb {
            args.add("-gdb", format!("tcp:127.0.0.1:{port}"));
            args.flags(&["-S"]);
        }
        match &self.board {
            Some(board) => self.payloads(board, &mut args)?,
            None => self.bare_payloads(&mut args)?,
        }
        args.0.extend(self.extra.iter().cloned());
        Ok(args.0)
    }

    fn hardware_arguments(&self, args: &mut Arguments) {
        let on = |on| if on { "on" } else { "off" };
        let (el2, its) = (on(self.virtualization), on(self.its || self.edu));
        let gic = match self.gic {
            Gic::V2 => 2,
            Gic::V3 => 3,
        };
        match self.hardware {
            Hardware::Virt => {
                args.add(
                    "-M",
                    format!("virt,virtualization={el2},gic-version={gic},iommu=smmuv3,its={its}"),
                );
                args.add("-cpu", &self.cpu);
            }
            other => {
                // Some have a sound card, and QEMU wants to know where that plays.
                args.add("-audiodev", "none,id=quiet");
                args.add("-M", other.machine());
            }
        }
    }

    /// What QEMU has no loader for on machines that come without a tree: the tree, with the host in it, and the host.
    fn own_tree(&self, args: &mut Arguments) -> Result<(), Error> {
        let layout = self.layout()?;
        let mut modules = Vec::new();
        let parts = [
            (Module::Kernel, &self.kernel, layout.kernel),
            (Module::Ramdisk, &self.initrd, layout.initrd),
        ];
        for (module, path, at) in parts {
            if let (Some(path), Some(at)) = (path, at) {
                args.device(&format!("loader,addr={at},force-raw=on"), &[("file", path)], "");
                modules.push((module, at, length(path)?));
            }
        }
        let path = self.dir.join("machine.dtb");
        let tree = self.hardware.tree(self.smp, &self.bootargs, &modules);
        fs::write(&path, tree).map_err(Error::file(&path))?;
        args.path("-dtb", &path);
        Ok(())
    }

    /// Leasehold as QEMU's kernel, and its host by the multiboot binding of `/chosen`.
    fn payloads(&self, board: &Board, args: &mut Arguments) -> Result<(), Error> {
        let header = read_header(&board.image)?;
        if header.memory > BOARD_LIMIT {
            let (path, memory) = (board.image.clone(), header.memory);
            return Err(Error::TooLarge {
                path,
                memory,
                limit: BOARD_LIMIT,
            });
        }
        match &self.loader {
            None => args.path("-kernel", &board.image),
            Some(Loader { program, leasehold }) => {
                args.path("-kernel", program);
                let loader = format!("loader,addr={leasehold},force-raw=on");
                args.device(&loader, &[("file", &board.image)], "");
            }
        }
        if !self.el2_args.is_empty() {
            args.add("-append", self.el2_args.join(" "));
        }
        if self.hardware != Hardware::Virt {
            return self.own_tree(args);
        }
        let layout = self.layout()?;
        if let (Some(path), Some(at)) = (&self.kernel, layout.kernel) {
            let bootargs = escape(&self.bootargs);
            args.device(
                &format!("guest-loader,addr={at}"),
                &[("kernel", path)],
                &format!("bootargs={bootargs}"),
            );
        }
        if let (Some(path), Some(at)) = (&self.initrd, layout.initrd) {
            args.device(&format!("guest-loader,addr={at}"), &[("initrd", path)], "");
        }
        Ok(())
    }

    /// Where Leasehold's host and its initrd lie.
    pub(super) fn layout(&self) -> Result<Layout, Error> {
        let kernel = self.kernel.as_deref().map(read_header).transpose()?;
        let initrd = self.initrd.as_deref().map(length).transpose()?;
        Ok(Layout::plan_from(self.hardware.ram(), self.memory, kernel, initrd)?)
    }

    fn bare_payloads(&self, args: &mut Arguments) -> Result<(), Error> {
        if let Some(kernel) = &self.kernel {
            read_header(kernel)?;
            args.path("-kernel", kernel);
        }
        if let Some(initrd) = &self.initrd {
            length(initrd)?;
            args.path("-initrd", initrd);
        }
        if let Some(dtb) = &self.dtb {
            args.path("-dtb", dtb);
        }
        if !self.bootargs.is_empty() {
            args.add("-append", &self.bootargs);
        }
        Ok(())
    }
}

pub(super) fn read_header(path: &Path) -> Result<ImageHeader, Error> {
    let header = ImageHeader::read(path).map_err(Error::file(path))?;
    header.ok_or_else(|| Error::NotAnImage(path.to_owned()))
}

fn length(path: &Path) -> Result<u64, Error> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(Error::file(path))
}

/// In QEMU's option lists a comma of a value is written twice.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn add(&mut self, option: &str, value: impl AsRef<str>) {
        self.0.extend([option.into(), value.as_ref().into()]);
    }

    fn path(&mut self, option: &str, path: &Path) {
        self.0.extend([option.into(), path.into()]);
    }

    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn socket(&mut self, id: &str, path: &Path) {
        self.add(
            "-chardev",
            format!("socket,id={id},path={}", escape(&path.to_string_lossy())),
        );
    }

    fn device(&mut self, device: &str, paths: &[(&str, &Path)], rest: &str) {
        let mut value = device.to_owned();
        for (property, path) in paths {
            value += &format!(",{property}={}", escape(&path.to_string_lossy()));
        }
        if !rest.is_empty() {
            value += &format!(",{rest}");
        }
        self.add("-device", value);
    }
}
