//! A board's own tree with one property changed: each change must be told, with the property's path.

use crate::{Outcome, own_files, read};
use leasehold_boards::Description;
use leasehold_memory_map::Address;
use leasehold_soc::description::SocDescription;
use leasehold_trees::values::{interrupts, is_gic, registers, stream_runs, streams};
use leasehold_trees::{Node, NodeId, Tree, compare};
use std::path::Path;

/// How far a base is moved, and a range grown.
const PAGE: u32 = 0x1000;

/// A changed property: where, what it is now, and what was done.
struct Change {
    node: NodeId,
    property: String,
    value: Option<Vec<u8>>,
    what: &'static str,
}

/// Makes every change, one at a time, of every tree of the board's in the folder.
pub fn all(board: &'static Description, folder: &Path) -> Outcome {
    let soc = board.soc().ok_or("a board without a description of its SoC")?;
    for file in own_files(board, folder) {
        let tree = Tree::read(&read(&file)?).map_err(|error| format!("{error:?}"))?;
        let mut changes = of_blocks(soc, &tree);
        for node in tree.nodes() {
            changes.extend(restreamed(node));
        }
        changes.extend(of_reserved(&tree));
        changes.extend(switched_off(board, soc, &tree));
        changes.extend(named_otherwise(&tree));
        told(board, tree, &changes)?;
    }
    Ok(())
}

/// Registers and interrupts of what is described, where this tree has it at the place of the description.
fn of_blocks(soc: &SocDescription, tree: &Tree) -> Vec<Change> {
    let mut changes = Vec::new();
    for block in soc.blocks() {
        let Some(node) = block.source.node().and_then(|path| tree.at(path)) else {
            continue;
        };
        // A tree that is known to say something else here is not compared further.
        let as_described = registers(node).iter().zip(block.reg).all(|(found, described)| {
            let (start, len) = (described.start().get(), described.len());
            (found.start, found.len) == (start, len)
        });
        if !block.reg.is_empty() && as_described {
            changes.extend(moved(node));
        }
        if !block.interrupts.is_empty() && !node.has("interrupts-extended") {
            changes.extend(rewired(node));
        }
    }
    changes
}

/// Ranges of memory, moved and grown.
fn of_reserved(tree: &Tree) -> Vec<Change> {
    let nodes = tree.at("/reserved-memory").into_iter().flat_map(Node::children);
    let nodes = nodes.filter(|node| node.is_enabled() && !registers(*node).is_empty());
    nodes
        .flat_map(|node| moved(node).into_iter().chain(grown(node)))
        .collect()
}

/// Makes each change, looks for it, and undoes it.
fn told(board: &Description, mut tree: Tree, changes: &[Change]) -> Outcome {
    let mut kinds: Vec<&str> = changes.iter().map(|change| change.what).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() < 8 || changes.len() < 50 {
        return Err(format!("only {} changes, of the kinds {kinds:?}", changes.len()).into());
    }
    let mut silent = Vec::new();
    for change in changes {
        let before = tree.node(change.node).get(&change.property).map(<[u8]>::to_vec);
        let path = tree.node(change.node).path();
        put(&mut tree, change.node, &change.property, change.value.as_deref());
        let differences = compare(board, &tree).unwrap_or_default();
        if !differences
            .iter()
            .any(|one| one.path == path && one.property == change.property)
        {
            let others: Vec<String> = differences.iter().map(|one| one.place()).collect();
            silent.push(format!("{path}:{}, {}; told: {others:?}", change.property, change.what));
        }
        put(&mut tree, change.node, &change.property, before.as_deref());
    }
    match silent.len() {
        0 => Ok(()),
        count => Err(format!("{count} of {} changes not told:\n{}", changes.len(), silent.join("\n")).into()),
    }
}

fn put(tree: &mut Tree, node: NodeId, property: &str, value: Option<&[u8]>) {
    match value {
        Some(value) => tree.set(node, property, value),
        None => tree.remove(node, property),
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The first base of `reg` a page further on.
fn moved(node: Node<'_>) -> Option<Change> {
    let mut words = node.words("reg")?;
    let cells = node.parent()?.word("#address-cells")? as usize;
    let low = words.get_mut(cells.checked_sub(1)?)?;
    *low = low.wrapping_add(PAGE);
    Some(change(node, "reg", bytes(&words), "a base moved by a page"))
}

/// The first range of `reg` a page longer.
fn grown(node: Node<'_>) -> Option<Change> {
    let mut words = node.words("reg")?;
    let cells = node.parent()?.word("#address-cells")? + node.parent()?.word("#size-cells")?;
    let len = words.get_mut(cells as usize - 1)?;
    *len = len.wrapping_add(PAGE);
    Some(change(node, "reg", bytes(&words), "a range grown by a page"))
}

/// The first interrupt with another number, another trigger, and as the other type.
fn rewired(node: Node<'_>) -> Vec<Change> {
    let (Some(words), Some(Some(_))) = (node.words("interrupts"), interrupts(node).first()) else {
        return Vec::new();
    };
    let wired = |index: usize, flip: u32, what| {
        let mut words = words.clone();
        words[index] ^= flip;
        change(node, "interrupts", bytes(&words), what)
    };
    vec![
        wired(0, 1, "an interrupt of the other type"),
        wired(1, 1, "an interrupt with another number"),
        // An edge for a level, and back.
        wired(2, 5, "an interrupt with another trigger"),
    ]
}

/// A stream more, the first one gone, and another SMMU's.
fn restreamed(node: Node<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    if let (Some(words), Some(Some(_))) = (node.words("iommus"), streams(node).first()) {
        let cells = node
            .tree()
            .by_phandle(words[0])
            .and_then(|smmu| smmu.word("#iommu-cells"))
            .unwrap_or(1);
        let entry = &words[..=cells as usize];
        let mut more = words.clone();
        more.extend(entry);
        let last = more.len() - cells as usize;
        more[last] = 0x7ee7;
        changes.push(change(node, "iommus", bytes(&more), "a stream added"));
        let mut other = words.clone();
        other[1] ^= 0x4000;
        changes.push(change(node, "iommus", bytes(&other), "a stream changed"));
    }
    if let (Some(words), Some(Some(_))) = (node.words("iommu-map"), stream_runs(node).first()) {
        let mut longer = words.clone();
        longer[2] ^= 0x4000;
        // An SMMUv3 has all streams on the host's tables, whichever they are.
        if stream_runs(node)[0].is_some_and(|run| run.count < 0x1_0000) {
            changes.push(change(node, "iommu-map", bytes(&longer), "a run of streams changed"));
        }
    }
    changes
}

/// What the description needs, switched off.
fn switched_off(board: &Description, soc: &SocDescription, tree: &Tree) -> Vec<Change> {
    let needed = [&soc.tlmm.block, soc.gic.block()];
    let needed = needed.into_iter().chain(soc.uarts.iter().map(|uart| &uart.block));
    let reserved = tree.at("/reserved-memory").into_iter().flat_map(Node::children);
    let reserved = reserved.filter(|node| board.reserved.iter().any(|described| described.node == node.name()));
    let nodes = needed.filter_map(|block| tree.at(block.source.node()?)).chain(reserved);
    nodes
        .filter(|node| node.is_enabled())
        .map(|node| change(node, "status", b"disabled\0".to_vec(), "a status flipped"))
        .collect()
}

/// Another machine's name, and a GIC's other stride.
fn named_otherwise(tree: &Tree) -> Vec<Change> {
    let root = change(
        tree.root(),
        "compatible",
        b"qcom,another\0".to_vec(),
        "another machine's name",
    );
    let gic = tree
        .nodes()
        .find(|node| is_gic(*node) && node.is_compatible("arm,gic-v3"));
    let what = "redistributors further apart";
    let stride = gic.map(|gic| change(gic, "redistributor-stride", bytes(&[0, 0x8_0000]), what));
    std::iter::once(root).chain(stride).collect()
}

fn change(node: Node<'_>, property: &str, value: Vec<u8>, what: &'static str) -> Change {
    Change {
        node: node.id(),
        property: property.into(),
        value: Some(value),
        what,
    }
}
