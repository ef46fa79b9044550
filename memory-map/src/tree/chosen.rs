//! `/chosen`: what the boot loader chose.

use super::error::{Fault, TreeError};
use super::machine::MachineTree;
use super::value::{self, Cells};
use super::walk::{Node, Step, Walk};
use crate::range::PhysRange;
use heapless::Vec;
use leasehold_fdt::Fdt;

/// How many modules `/chosen` may have.
pub const MAX_MODULES: usize = 8;

/// What a module is (Xen, docs/misc/arm/device-tree/booting.txt).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ModuleKind {
    /// `multiboot,kernel`: the host's kernel.
    Kernel,
    /// `multiboot,ramdisk`: the host's initial RAM disk.
    Ramdisk,
    /// Anything else.
    Other,
}

/// Something that the boot loader has put into memory: a node of `/chosen` that is compatible with `multiboot,module`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Module<'a> {
    /// What it is.
    pub kind: ModuleKind,
    /// Where it is. The length is the file's: a kernel may need more behind it for data that is not in the file.
    pub range: PhysRange,
    /// Its command line.
    pub bootargs: Option<&'a str>,
    /// The node's name.
    pub name: &'a str,
}

/// `/chosen`.
#[derive(Clone, Debug, Default)]
pub struct Chosen<'a> {
    /// The command line (`bootargs`).
    pub bootargs: Option<&'a str>,
    /// The console, by path or alias, with options behind a colon (`stdout-path`). [`MachineTree::stdout`] resolves it.
    pub stdout_path: Option<&'a str>,
    /// The RAM disk of a boot loader that knows only one (`linux,initrd-start` and `linux,initrd-end`).
    pub initrd: Option<PhysRange>,
    pub(super) modules: Vec<Module<'a>, MAX_MODULES>,
}

impl<'a> Chosen<'a> {
    /// Modules by the multiboot binding, in the order of the tree.
    #[must_use]
    pub fn modules(&self) -> &[Module<'a>] {
        &self.modules
    }

    /// The first module of a kind. There is never a second kernel or RAM disk.
    #[must_use]
    pub fn module(&self, kind: ModuleKind) -> Option<&Module<'a>> {
        self.modules.iter().find(|module| module.kind == kind)
    }

    pub(super) fn read(node: &Node<'a>) -> Result<Self, TreeError> {
        let (mut chosen, mut start, mut end) = (Self::default(), None, None);
        let mut properties = node.properties();
        while let Some(property) = properties.next()? {
            let text = |name| value::text(property.value).map_err(|fault| node.error(name, fault));
            let number = |name| value::number(property.value).map_err(|fault| node.error(name, fault));
            match property.name {
                b"bootargs" => chosen.bootargs = Some(text("bootargs")?),
                b"stdout-path" => chosen.stdout_path = Some(text("stdout-path")?),
                b"linux,initrd-start" => start = Some(number("linux,initrd-start")?),
                b"linux,initrd-end" => end = Some(number("linux,initrd-end")?),
                _ => {}
            }
        }
        chosen.initrd = match (start, end) {
            (Some(start), Some(end)) => {
                let len = end
                    .checked_sub(start)
                    .ok_or_else(|| node.error("linux,initrd-end", Fault::Number(end)))?;
                value::range((start, len)).map_err(|fault| node.error("linux,initrd-start", fault))?
            }
            (None, None) => None,
            (Some(_), None) => return Err(node.error("linux,initrd-end", Fault::Missing)),
            (None, Some(_)) => return Err(node.error("linux,initrd-start", Fault::Missing)),
        };
        Ok(chosen)
    }
}

impl<'a> Module<'a> {
    /// Whether a child of `/chosen` is a module.
    pub(crate) fn is(node: &Node<'_>) -> bool {
        node.is_any(&["multiboot,module"])
    }

    /// Reads a child of `/chosen` that is a module.
    pub(super) fn read(node: &Node<'a>) -> Result<Self, TreeError> {
        let error = |fault| node.error("reg", fault);
        let reg = node.reg.ok_or_else(|| error(Fault::Missing))?;
        // QEMU's guest-loader writes two cells each and no `#address-cells`.
        let cells = match node.cells_given {
            true => node.cells,
            false => Cells::of_single(reg.len()).ok_or_else(|| error(Fault::Length(reg.len())))?,
        };
        let mut entries = cells.entries(reg).map_err(error)?;
        let (Some(entry), None) = (entries.next(), entries.next()) else {
            return Err(error(Fault::Length(reg.len())));
        };
        let bootargs = node.get("bootargs")?.map(value::text).transpose();
        Ok(Self {
            kind: if node.is_any(&["multiboot,kernel"]) {
                ModuleKind::Kernel
            } else if node.is_any(&["multiboot,ramdisk"]) {
                ModuleKind::Ramdisk
            } else {
                ModuleKind::Other
            },
            range: value::range(entry)
                .map_err(error)?
                .ok_or_else(|| error(Fault::Number(0)))?,
            bootargs: bootargs.map_err(|fault| node.error("bootargs", fault))?,
            name: str::from_utf8(node.name).unwrap_or_default(),
        })
    }
}

/// The console that `/chosen` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stdout<'a> {
    /// The path of its node.
    pub path: &'a str,
    /// What stands behind the colon, like `115200n8`.
    pub options: Option<&'a str>,
    /// Its first register frame as the CPU sees it.
    pub registers: Option<PhysRange>,
    compatible: &'a [u8],
}

impl Stdout<'_> {
    /// Whether the console's `compatible` has `name`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        value::lists_any(self.compatible, &[name])
    }
}

impl<'a> MachineTree<'a> {
    /// Finds the console that `stdout-path` names, through `/aliases` where it is not a path. An alias of an alias is
    /// not followed. `None` where there is no such node. A pass over the tree, or two.
    ///
    /// # Errors
    /// [`TreeError`] where an alias is no string.
    pub fn stdout(&self) -> Result<Option<Stdout<'a>>, TreeError> {
        let Some(path) = self.stdout_path()? else {
            return Ok(None);
        };
        let stdout = self.chosen.as_ref().and_then(|chosen| chosen.stdout_path);
        let options = stdout.and_then(|stdout| stdout.split_once(':'));
        Ok(find(&self.fdt, path)?.map(|(walk, node)| Stdout {
            path,
            options: options.map(|(_, options)| options),
            registers: walk.first_reg(&node),
            compatible: node.compatible.unwrap_or_default(),
        }))
    }

    /// The path that `stdout-path` names, whether there is such a node or not.
    pub(crate) fn stdout_path(&self) -> Result<Option<&'a str>, TreeError> {
        let stdout = self.chosen.as_ref().and_then(|chosen| chosen.stdout_path);
        let Some(name) = stdout.and_then(|stdout| stdout.split(':').next()) else {
            return Ok(None);
        };
        match name.starts_with('/') {
            true => Ok(Some(name)),
            false => self.alias(name),
        }
    }

    fn alias(&self, name: &str) -> Result<Option<&'a str>, TreeError> {
        let Some((_, aliases)) = find(&self.fdt, "/aliases")? else {
            return Ok(None);
        };
        let path = aliases.get(name)?.map(value::text).transpose();
        path.map_err(|fault| aliases.error("an alias", fault))
    }
}

/// The node at `path`, and a walk that is just inside of it. Names must agree to the last character.
fn find<'a>(fdt: &Fdt<'a>, path: &str) -> Result<Option<(Walk<'a>, Node<'a>)>, TreeError> {
    let Some(path) = path.strip_prefix('/') else {
        return Ok(None);
    };
    let mut walk = Walk::new(fdt);
    let mut names = path.split('/');
    let mut wanted = "";
    while let Some(Step::Enter(node)) = walk.step()? {
        if node.name != wanted.as_bytes() {
            walk.leave()?;
            continue;
        }
        match names.next() {
            Some(name) => wanted = name,
            None => return Ok(Some((walk, node))),
        }
    }
    Ok(None)
}
