//! The pass that reads a tree.

use super::chosen::{Chosen, MAX_MODULES, Module, ModuleKind};
use super::error::{Fault, NodeName, TreeError};
use super::machine::{
    Conduit, Cpu, DynamicReservation, EnableMethod, Gic, GicVersion, MAX_CPUS, MAX_DYNAMIC, MAX_GIC_RANGES, MAX_MEMORY,
    MAX_RESERVATIONS, MAX_RESERVED, MAX_SMMUS, MachineTree, ReservationKind, ReservedRange,
};
use super::value;
use super::walk::{Node, Step, Walk};
use heapless::Vec;
use leasehold_fdt::Fdt;

/// `compatible` of the GICs whose registers are a GICv2's.
const GIC_V2: [&str; 4] = [
    "arm,cortex-a15-gic",
    "arm,gic-400",
    "arm,cortex-a7-gic",
    "qcom,msm-qgic2",
];
/// `compatible` of PSCI (Documentation/devicetree/bindings/arm/psci.yaml).
const PSCI: [&str; 3] = ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"];
/// Aff3 and Aff2 to Aff0 of MPIDR_EL1 (Arm ARM D24.2.115).
const AFFINITY: u64 = 0xff_00ff_ffff;

/// Which child of the root the walk is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Chosen,
    Cpus,
    ReservedMemory,
    Other,
}

impl Section {
    fn of(name: &[u8]) -> Self {
        match name {
            b"chosen" => Self::Chosen,
            b"cpus" => Self::Cpus,
            b"reserved-memory" => Self::ReservedMemory,
            _ => Self::Other,
        }
    }
}

impl<'a> MachineTree<'a> {
    /// Reads the device tree at the start of `blob`, which must start at a multiple of 8 bytes.
    ///
    /// # Errors
    /// What is wrong first, and where. A tree without memory, CPUs or GIC is none: who needs them asks.
    pub fn parse(blob: &'a [u8]) -> Result<Self, TreeError> {
        let fdt = Fdt::new(blob)?;
        let mut tree = Self {
            fdt,
            compatible: &[],
            memory: Vec::new(),
            reservations: Vec::new(),
            reserved: Vec::new(),
            dynamic: Vec::new(),
            chosen: None,
            cpus: Vec::new(),
            psci: None,
            gic: None,
            smmus: Vec::new(),
            bypass: None,
            timer: false,
        };
        tree.read_reservations()?;
        let mut walk = Walk::new(&fdt);
        let mut section = Section::Other;
        // Where the PCI host bridge is that the walk is in: what is in it is behind it.
        let mut bridge = usize::MAX;
        while let Some(step) = walk.step()? {
            let Step::Enter(node) = step else { continue };
            if node.depth <= bridge {
                bridge = tree.read_bridge(&node)?;
            }
            match node.depth {
                1 => tree.compatible = node.compatible.unwrap_or_default(),
                2 => {
                    section = Section::of(node.name);
                    tree.read_child_of_root(&walk, &node, section)?;
                }
                3 => tree.read_member(&walk, &node, section)?,
                _ => tree.read_device(&walk, &node)?,
            }
        }
        Ok(tree)
    }

    /// Notes a PCI host bridge that no IOMMU contains. Returns the depth of a host bridge, the greatest number for all else.
    fn read_bridge(&mut self, node: &Node<'a>) -> Result<usize, TreeError> {
        if node.device_type != Some(b"pci\0") {
            return Ok(usize::MAX);
        }
        if node.get("iommu-map")?.is_none() {
            self.bypass.get_or_insert(NodeName::new(node.name));
        }
        Ok(node.depth)
    }

    fn read_reservations(&mut self) -> Result<(), TreeError> {
        for (index, entry) in self.fdt.reservations().enumerate() {
            let range = value::range(entry).map_err(|fault| TreeError::Reservation { index, fault })?;
            if let Some(range) = range {
                let node = NodeName::new(b"/memreserve/");
                push(
                    &mut self.reservations,
                    range,
                    "memory reservations",
                    MAX_RESERVATIONS,
                    node,
                )?;
            }
        }
        Ok(())
    }

    fn read_child_of_root(&mut self, walk: &Walk<'a>, node: &Node<'a>, section: Section) -> Result<(), TreeError> {
        match section {
            Section::Chosen => {
                let chosen = Chosen::read(node)?;
                only(&mut self.chosen, chosen, "/chosen", node)
            }
            Section::Other if node.is_memory() => {
                // Linux takes it instead of `reg` (drivers/of/fdt.c, early_init_dt_scan_memory): only kexec writes it.
                if node.get("linux,usable-memory")?.is_some() {
                    return Err(node.error("linux,usable-memory", Fault::Unsupported));
                }
                for range in walk.reg(node)? {
                    push(
                        &mut self.memory,
                        range?,
                        "memory ranges",
                        MAX_MEMORY,
                        NodeName::new(node.name),
                    )?;
                }
                Ok(())
            }
            Section::Other => self.read_device(walk, node),
            Section::Cpus | Section::ReservedMemory => Ok(()),
        }
    }

    fn read_member(&mut self, walk: &Walk<'a>, node: &Node<'a>, section: Section) -> Result<(), TreeError> {
        match section {
            Section::Chosen if Module::is(node) => self.read_module(node),
            Section::Cpus if node.device_type == Some(b"cpu\0") && node.is_okay() => self.read_cpu(node),
            Section::ReservedMemory if node.is_okay() => self.read_reserved(walk, node),
            Section::Other => self.read_device(walk, node),
            _ => Ok(()),
        }
    }

    fn read_module(&mut self, node: &Node<'a>) -> Result<(), TreeError> {
        let module = Module::read(node)?;
        let Some(chosen) = self.chosen.as_mut() else {
            return Ok(());
        };
        let name = NodeName::new(node.name);
        if module.kind != ModuleKind::Other && chosen.module(module.kind).is_some() {
            return Err(TreeError::TooMany {
                what: match module.kind {
                    ModuleKind::Kernel => "multiboot,kernel",
                    _ => "multiboot,ramdisk",
                },
                limit: 1,
                node: name,
            });
        }
        push(&mut chosen.modules, module, "modules", MAX_MODULES, name)
    }

    fn read_cpu(&mut self, node: &Node<'a>) -> Result<(), TreeError> {
        let error = |fault| node.error("reg", fault);
        let reg = node.reg.ok_or_else(|| error(Fault::Missing))?;
        let (affinity, _) = node
            .cells
            .entries(reg)
            .map_err(error)?
            .next()
            .ok_or_else(|| error(Fault::Length(reg.len())))?;
        if affinity & !AFFINITY != 0 {
            return Err(error(Fault::Number(affinity)));
        }
        if self.cpus.iter().any(|cpu| cpu.affinity == affinity) {
            return Err(error(Fault::Twice));
        }
        let method = match node.get("enable-method")? {
            Some(b"psci\0") => Some(EnableMethod::Psci),
            // A loader that has not filled in the address leaves the property out.
            Some(b"spin-table\0") => match node.get("cpu-release-addr")?.map(value::number).transpose() {
                Ok(address) => address.map(EnableMethod::SpinTable),
                Err(fault) => return Err(node.error("cpu-release-addr", fault)),
            },
            _ => None,
        };
        let enable = method.unwrap_or(EnableMethod::Unknown);
        push(
            &mut self.cpus,
            Cpu { affinity, enable },
            "CPUs",
            MAX_CPUS,
            NodeName::new(node.name),
        )
    }

    fn read_reserved(&mut self, walk: &Walk<'a>, node: &Node<'a>) -> Result<(), TreeError> {
        let (mut no_map, mut reusable, mut len, mut alignment) = (false, false, None, 0);
        let mut properties = node.properties();
        while let Some(property) = properties.next()? {
            let number = |name| value::number(property.value).map_err(|fault| node.error(name, fault));
            match property.name {
                b"no-map" => no_map = true,
                b"reusable" => reusable = true,
                b"size" => len = Some(number("size")?),
                b"alignment" => alignment = number("alignment")?,
                _ => {}
            }
        }
        let kind = match (no_map, reusable) {
            (true, _) => ReservationKind::NoMap,
            (false, true) => ReservationKind::Reusable,
            (false, false) => ReservationKind::Plain,
        };
        let name = str::from_utf8(node.name).unwrap_or_default();
        let node_name = NodeName::new(node.name);
        if node.reg.is_some() {
            for range in walk.reg(node)? {
                let reserved = ReservedRange {
                    name,
                    range: range?,
                    kind,
                };
                push(&mut self.reserved, reserved, "reserved ranges", MAX_RESERVED, node_name)?;
            }
        } else if let Some(len) = len {
            let reservation = DynamicReservation {
                name,
                len,
                alignment,
                kind,
            };
            push(
                &mut self.dynamic,
                reservation,
                "reservations without a place",
                MAX_DYNAMIC,
                node_name,
            )?;
        }
        Ok(())
    }

    /// A node that may be a device that the hypervisor looks for.
    fn read_device(&mut self, walk: &Walk<'a>, node: &Node<'a>) -> Result<(), TreeError> {
        if node.compatible.is_none() || !node.is_okay() {
            return Ok(());
        }
        if let Some(version) = gic_version(node) {
            let gic = read_gic(walk, node, version)?;
            only(&mut self.gic, gic, "GICs", node)
        } else if node.is_any(&["arm,smmu-v3"]) {
            let registers = walk
                .reg(node)?
                .next()
                .ok_or_else(|| node.error("reg", Fault::Length(0)))?;
            push(
                &mut self.smmus,
                registers?,
                "SMMUs",
                MAX_SMMUS,
                NodeName::new(node.name),
            )
        } else if node.is_any(&PSCI) {
            let conduit = match node.get("method")? {
                Some(b"smc\0") => Conduit::Smc,
                Some(b"hvc\0") => Conduit::Hvc,
                Some(_) => return Err(node.error("method", Fault::Text)),
                None => return Err(node.error("method", Fault::Missing)),
            };
            only(&mut self.psci, conduit, "PSCI nodes", node)
        } else {
            self.timer |= node.is_any(&["arm,armv8-timer"]);
            Ok(())
        }
    }
}

/// The version of the GIC that `node` is, if it is one.
pub(crate) fn gic_version(node: &Node<'_>) -> Option<GicVersion> {
    if node.is_any(&["arm,gic-v3"]) {
        Some(GicVersion::V3)
    } else {
        node.is_any(&GIC_V2).then_some(GicVersion::V2)
    }
}

fn read_gic<'a>(walk: &Walk<'a>, node: &Node<'a>, version: GicVersion) -> Result<Gic, TreeError> {
    let mut ranges = Vec::new();
    for range in walk.reg(node)? {
        push(
            &mut ranges,
            range?,
            "ranges of the GIC",
            MAX_GIC_RANGES,
            NodeName::new(node.name),
        )?;
    }
    let regions = match (version, node.get("#redistributor-regions")?) {
        (GicVersion::V2, _) => 0,
        (GicVersion::V3, None) => 1,
        (GicVersion::V3, Some(value)) => {
            value::u32(value).map_err(|fault| node.error("#redistributor-regions", fault))? as usize
        }
    };
    let stride = node.get("redistributor-stride")?.map(value::number).transpose();
    let gic = Gic {
        version,
        ranges,
        redistributor_regions: regions.min(MAX_GIC_RANGES),
        redistributor_stride: stride.map_err(|fault| node.error("redistributor-stride", fault))?,
    };
    let len = node.reg.unwrap_or_default().len();
    if gic.ranges.len() * node.cells.entry_len() != len {
        // Frames are known by their number, so none may be missing.
        return Err(node.error("reg", Fault::Number(0)));
    }
    if gic.ranges.len() < gic.host_ranges() {
        return Err(node.error("reg", Fault::Length(len)));
    }
    Ok(gic)
}

fn push<T, const N: usize>(
    list: &mut Vec<T, N>,
    item: T,
    what: &'static str,
    limit: usize,
    node: NodeName,
) -> Result<(), TreeError> {
    list.push(item).map_err(|_| TreeError::TooMany { what, limit, node })
}

/// Fills a place that must not be filled twice.
fn only<T>(place: &mut Option<T>, item: T, what: &'static str, node: &Node<'_>) -> Result<(), TreeError> {
    match place.replace(item) {
        None => Ok(()),
        Some(_) => Err(TreeError::TooMany {
            what,
            limit: 1,
            node: NodeName::new(node.name),
        }),
    }
}
