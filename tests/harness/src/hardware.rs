//! QEMU's machines besides `virt`: where things are on them, and the device trees that QEMU does not write for them.

use crate::tree::Tree;
use leasehold_memory_map::{Address, PhysAddr};

/// One of QEMU's machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hardware {
    /// `virt`, for which QEMU writes the tree.
    #[default]
    Virt,
    /// `xlnx-zcu102`: Cortex-A53, GIC-400, Cadence UARTs, RAM from 0.
    Zcu102,
    /// `imx8mp-evk`: Cortex-A53, GICv3, i.MX UARTs.
    Imx8mp,
}

/// What is loaded for EL2's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Module {
    Kernel,
    Ramdisk,
}

/// A module, where it is, and its length in bytes.
type Placed = (Module, PhysAddr, u64);

/// What differs from one machine to the next.
struct Parts {
    machine: &'static str,
    board: &'static str,
    compatible: &'static [&'static str],
    ram: u64,
    cpus: u32,
    cpu: &'static str,
    gic: (&'static [&'static str], &'static [(u64, u64)]),
    uart: &'static [&'static str],
    /// Those of host and EL2: address, length, and the number of the shared peripheral interrupt.
    uarts: [(u64, u64, u32); 2],
    /// EL2's is the first of QEMU's.
    logs_first: bool,
}

/// QEMU, hw/arm/xlnx-zynqmp.c; Linux, xilinx/zynqmp.dtsi.
const ZCU102: Parts = Parts {
    machine: "xlnx-zcu102,virtualization=on,secure=off,audiodev=quiet",
    board: "qemu-zcu102",
    compatible: &["xlnx,zynqmp-zcu102", "xlnx,zynqmp"],
    ram: 0,
    cpus: 4,
    cpu: "arm,cortex-a53",
    gic: (
        &["arm,gic-400"],
        &[
            (0xf901_0000, 0x1_0000),
            (0xf902_0000, 0x2_0000),
            (0xf904_0000, 0x2_0000),
            (0xf906_0000, 0x2_0000),
        ],
    ),
    uart: &["xlnx,zynqmp-uart", "cdns,uart-r1p12"],
    uarts: [(0xff00_0000, 0x1000, 21), (0xff01_0000, 0x1000, 22)],
    logs_first: false,
};

/// QEMU, hw/arm/fsl-imx8mp.c; Linux, freescale/imx8mp.dtsi.
const IMX8MP: Parts = Parts {
    machine: "imx8mp-evk",
    board: "qemu-imx8mp",
    compatible: &["fsl,imx8mp-evk", "fsl,imx8mp"],
    ram: 0x4000_0000,
    cpus: 4,
    cpu: "arm,cortex-a53",
    gic: (&["arm,gic-v3"], &[(0x3880_0000, 0x1_0000), (0x3888_0000, 0xc_0000)]),
    uart: &["fsl,imx8mp-uart", "fsl,imx6q-uart"],
    uarts: [(0x3089_0000, 0x1_0000, 27), (0x3086_0000, 0x1_0000, 26)],
    logs_first: true,
};

/// The phandle of the interrupt controller.
const GIC: u32 = 1;

impl Hardware {
    fn parts(self) -> Option<&'static Parts> {
        match self {
            Hardware::Virt => None,
            Hardware::Zcu102 => Some(&ZCU102),
            Hardware::Imx8mp => Some(&IMX8MP),
        }
    }

    /// The name of its board.
    pub fn board(self) -> &'static str {
        self.parts().map_or("qemu-virt", |parts| parts.board)
    }

    /// How many CPUs it has, where that is fixed.
    pub(crate) fn cpus(self) -> u32 {
        self.parts().map_or(2, |parts| parts.cpus)
    }

    /// What QEMU's `-M` takes.
    pub(crate) fn machine(self) -> &'static str {
        self.parts().map_or("virt", |parts| parts.machine)
    }

    /// Where RAM starts.
    pub(crate) fn ram(self) -> PhysAddr {
        self.parts()
            .map_or(crate::layout::RAM, |parts| PhysAddr::new(parts.ram))
    }

    /// Whether EL2's UART is the first of QEMU's, and the host's the second.
    pub(crate) fn logs_first(self) -> bool {
        self.parts().is_some_and(|parts| parts.logs_first)
    }

    /// The machine's tree, to which QEMU adds memory, EL2's command line and PSCI. Empty for `virt`.
    pub(crate) fn tree(self, cpus: u32, bootargs: &str, modules: &[Placed]) -> Vec<u8> {
        let mut tree = Tree::new();
        if let Some(parts) = self.parts() {
            parts.root(&mut tree, cpus, bootargs, modules);
        }
        tree.finish()
    }
}

impl Parts {
    fn root(&self, tree: &mut Tree, cpus: u32, bootargs: &str, modules: &[Placed]) {
        tree.begin("");
        tree.cells("#address-cells", &[2]);
        tree.cells("#size-cells", &[2]);
        tree.texts("compatible", self.compatible);
        tree.cells("interrupt-parent", &[GIC]);
        self.cpus(tree, cpus);
        tree.begin("psci");
        tree.texts("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
        tree.texts("method", &["smc"]);
        tree.end();
        tree.begin("timer");
        tree.texts("compatible", &["arm,armv8-timer"]);
        tree.cells("interrupts", &[1, 13, 0xf08, 1, 14, 0xf08, 1, 11, 0xf08, 1, 10, 0xf08]);
        tree.end();
        let (compatible, frames) = self.gic;
        tree.begin(&format!("interrupt-controller@{:x}", frames[0].0));
        tree.texts("compatible", compatible);
        tree.cells("#interrupt-cells", &[3]);
        tree.cells("interrupt-controller", &[]);
        tree.pairs("reg", frames);
        tree.cells("interrupts", &[1, 9, 0xf04]);
        tree.cells("phandle", &[GIC]);
        tree.end();
        for (start, len, interrupt) in self.uarts {
            tree.begin(&serial(start));
            tree.texts("compatible", self.uart);
            tree.pairs("reg", &[(start, len)]);
            tree.cells("interrupts", &[0, interrupt, 4]);
            tree.end();
        }
        self.chosen(tree, bootargs, modules);
        tree.end();
    }

    fn cpus(&self, tree: &mut Tree, cpus: u32) {
        tree.begin("cpus");
        tree.cells("#address-cells", &[1]);
        tree.cells("#size-cells", &[0]);
        for cpu in 0..cpus {
            tree.begin(&format!("cpu@{cpu:x}"));
            tree.texts("device_type", &["cpu"]);
            tree.texts("compatible", &[self.cpu]);
            tree.texts("enable-method", &["psci"]);
            tree.cells("reg", &[cpu]);
            tree.end();
        }
        tree.end();
    }

    /// The host by the multiboot binding, as QEMU's `guest-loader` writes it for `virt`.
    fn chosen(&self, tree: &mut Tree, bootargs: &str, modules: &[Placed]) {
        tree.begin("chosen");
        tree.cells("#address-cells", &[2]);
        tree.cells("#size-cells", &[2]);
        tree.texts("stdout-path", &[&format!("/{}", serial(self.uarts[0].0))]);
        for (module, at, len) in modules {
            tree.begin(&format!("module@{:x}", at.get()));
            tree.pairs("reg", &[(at.get(), *len)]);
            match module {
                Module::Kernel => {
                    tree.texts("compatible", &["multiboot,kernel", "multiboot,module"]);
                    tree.texts("bootargs", &[bootargs]);
                }
                Module::Ramdisk => tree.texts("compatible", &["multiboot,ramdisk", "multiboot,module"]),
            }
            tree.end();
        }
        tree.end();
    }
}

fn serial(start: u64) -> String {
    format!("serial@{start:x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_memory_map::{GicVersion, MachineTree, ModuleKind};

    #[test]
    fn the_trees_say_what_the_machines_are() {
        for (hardware, gic) in [(Hardware::Zcu102, GicVersion::V2), (Hardware::Imx8mp, GicVersion::V3)] {
            let kernel = PhysAddr::new(0x4400_0000);
            let blob = hardware.tree(4, "no-dma", &[(Module::Kernel, kernel, 4096)]);
            // QEMU adds memory.
            let mut words = vec![0_u64; blob.len().div_ceil(8)];
            for (word, bytes) in words.iter_mut().zip(blob.chunks(8)) {
                let mut whole = [0; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                *word = u64::from_ne_bytes(whole);
            }
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            let tree = MachineTree::parse(&bytes).unwrap();
            assert_eq!(tree.gic().unwrap().version, gic);
            assert_eq!(tree.cpus().len(), 4);
            let chosen = tree.chosen().unwrap();
            let module = chosen.module(ModuleKind::Kernel).unwrap();
            assert_eq!((module.range.start(), module.bootargs), (kernel, Some("no-dma")));
        }
    }
}
