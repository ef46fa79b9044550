//! The boards that have a twin, and what each boots with.

use crate::board::{Db410c, Db845c, QemuVirt, QualcommTwin, Rb3gen2, Rb5, Sm8550Hdk, Sm8650Hdk, X1e80100Crd};
use crate::machine::Machine;
use crate::profile::{self, Profile};
use crate::report::{self, Reports};
use crate::twin::{SOUND, Setting, Twin, nothing};
use leasehold_boards::Described;
use leasehold_memory_map::MachineTree;
use leasehold_trees::Tree;
use std::path::{Path, PathBuf};

/// Where a tree comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// It is in the repository: this file of `memory-map/tests/data`.
    Kept(&'static str),
    /// It is in Debian's kernel package of this series, where the board's description says.
    Debian(&'static str),
}

/// A board on a tree.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The golden files' folder.
    pub name: &'static str,
    /// The board's name.
    pub board: &'static str,
    /// Where its tree is from.
    pub source: Source,
    boot: Boot,
}

/// All of them: each board on the kernel for which its description was made, and two on a later one, which has more masters
/// in its trees.
pub const ALL: &[Subject] = &[
    Subject {
        name: "qemu-virt",
        board: "qemu-virt",
        source: Source::Kept("virt-gicv3.dtb"),
        boot: qemu_virt,
    },
    Subject {
        name: "qemu-virt-gicv2",
        board: "qemu-virt",
        source: Source::Kept("virt-gicv2.dtb"),
        boot: qemu_virt,
    },
    subject("db410c", db410c),
    subject("db845c", db845c),
    subject("rb3gen2", rb3gen2),
    subject("rb5", rb5),
    subject("sm8550-hdk", sm8550_hdk),
    subject("sm8650-hdk", sm8650_hdk),
    subject("x1e80100-crd", x1e80100_crd),
    later("rb3gen2-7.3", "rb3gen2", rb3gen2),
    later("x1e80100-crd-7.3", "x1e80100-crd", x1e80100_crd),
];

type Boot = fn(Tree, &str) -> Result<Reports, String>;

const fn subject(name: &'static str, boot: Boot) -> Subject {
    Subject {
        name,
        board: name,
        source: Source::Debian("6.12"),
        boot,
    }
}

const fn later(name: &'static str, board: &'static str, boot: Boot) -> Subject {
    Subject {
        name,
        board,
        source: Source::Debian("7.3"),
        boot,
    }
}

fn db410c(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<Db410c>(tree, source, &profile::CORTEX_A53)
}

fn db845c(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<Db845c>(tree, source, &profile::CORTEX_A55)
}

fn rb3gen2(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<Rb3gen2>(tree, source, &profile::CORTEX_A55)
}

fn rb5(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<Rb5>(tree, source, &profile::CORTEX_A55)
}

fn sm8550_hdk(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<Sm8550Hdk>(tree, source, &profile::CORTEX_A510)
}

fn sm8650_hdk(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<Sm8650Hdk>(tree, source, &profile::CORTEX_A510)
}

fn x1e80100_crd(tree: Tree, source: &str) -> Result<Reports, String> {
    qualcomm::<X1e80100Crd>(tree, source, &profile::ORYON)
}

/// QEMU's `virt` machine, on `tree`.
///
/// # Errors
/// Why it does not come to its host's entry, or what is wrong there.
fn qemu_virt(tree: Tree, source: &str) -> Result<Reports, String> {
    let setting = Setting {
        tree,
        profile: &profile::QEMU_VIRT,
        machine: &|loaded, memory, image| {
            let tree = MachineTree::parse(&loaded.blob.1).expect("the loader's tree");
            Machine::qemu_virt(&tree, memory, image, SOUND)
        },
        spoil: &nothing,
    };
    report::reports(Twin::<QemuVirt>::boot(setting)?, source)
}

/// A board with a SoC of Qualcomm's.
fn qualcomm<D: Described>(tree: Tree, source: &str, profile: &'static Profile) -> Result<Reports, String> {
    let setting = Setting {
        tree,
        profile,
        machine: &|loaded, memory, image| Machine::qualcomm(D::BOARD, memory, image, loaded.picture),
        spoil: &nothing,
    };
    report::reports(Twin::<QualcommTwin<D>>::boot(setting)?, source)
}

/// The project's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Subject {
    /// Whether its tree is fetched, and not in the repository.
    #[must_use]
    pub const fn needs_fetched_tree(&self) -> bool {
        matches!(self.source, Source::Debian(_))
    }

    /// The tree's file, where it is fetched in one of `folders`, each a kernel's. `None` where it is in none.
    #[must_use]
    pub fn file(&self, folders: &[PathBuf]) -> Option<PathBuf> {
        match self.source {
            Source::Kept(file) => Some(root().join("memory-map/tests/data").join(file)),
            Source::Debian(series) => {
                let tree = leasehold_boards::find(self.board)?.tree?;
                let of_series = |folder: &&PathBuf| {
                    let name = folder.file_name().unwrap_or_default().to_string_lossy();
                    name.starts_with(&format!("{series}."))
                };
                let mut files = folders.iter().filter(of_series).map(|folder| folder.join(tree.file));
                files.find(|file| file.is_file())
            }
        }
    }

    /// Boots it on the tree in `file`.
    ///
    /// # Errors
    /// Why there is no tree, why the board does not come to its host's entry, or what is wrong there.
    pub fn reports(&self, file: &Path) -> Result<Reports, String> {
        let blob = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let tree = Tree::read(&blob).map_err(|error| format!("{}: {error:?}", file.display()))?;
        let source = match self.source {
            Source::Kept(file) => file.to_owned(),
            Source::Debian(series) => {
                let file = leasehold_boards::find(self.board).and_then(|board| board.tree);
                format!(
                    "{} of Debian's Linux {series}",
                    file.map_or("no tree", |tree| tree.file)
                )
            }
        };
        (self.boot)(tree, &source)
    }
}
