//! A board's own tree with one property changed: each change must be told, with the property's path.

use crate::{Outcome, own_files, read};
use leasehold_boards::Description;
use leasehold_memory_map::Address;
use leasehold_soc::description::SocDescription;
use leasehold_trees::known::{self, Fact};
use leasehold_trees::values::{interrupts, is_gic, registers, stream_runs, streams};
use leasehold_trees::{Node, NodeId, Tree, check, compare};
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
        changes.extend(over_hidden(soc, &tree));
        changes.extend(switched_off(board, soc, &tree));
        changes.extend(named_otherwise(&tree));
        // Streams that other kernels' trees have not are known to be missing there.
        changes.retain(|change| change.value.is_some() || !is_known(board, &tree, change));
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
        if as_described {
            changes.extend((0..block.reg.len()).filter_map(|entry| moved(node, entry)));
        }
        if !node.has("interrupts-extended") {
            changes.extend((0..block.interrupts.len()).flat_map(|entry| rewired(node, entry)));
        }
    }
    changes
}

/// Ranges of memory, moved and grown.
fn of_reserved(tree: &Tree) -> Vec<Change> {
    let nodes = tree.at("/reserved-memory").into_iter().flat_map(Node::children);
    let nodes = nodes.filter(|node| node.is_enabled() && !registers(*node).is_empty());
    nodes
        .flat_map(|node| moved(node, 0).into_iter().chain(grown(node)))
        .collect()
}

/// Words of values overwritten at random: whatever it is then, the comparison comes to an end, and has something to say.
pub fn damage(board: &'static Description, folder: &Path) -> Outcome {
    const ROUNDS: u32 = 20;
    const WORDS: u32 = 20;
    const ODD: [u32; 8] = [0, 1, 2, 3, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX];
    // Xorshift (Marsaglia, "Xorshift RNGs", 2003), the same each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % limit
    };
    for file in own_files(board, folder) {
        let whole = Tree::read(&read(&file)?).map_err(|error| format!("{error:?}"))?;
        let of_node = |node: Node<'_>| {
            let names = node.properties().iter().map(move |(name, _)| (node.id(), name.clone()));
            names.collect::<Vec<_>>()
        };
        let places: Vec<(NodeId, String)> = whole.nodes().flat_map(of_node).collect();
        let mut told = 0;
        for _ in 0..ROUNDS {
            let mut tree = whole.clone();
            for _ in 0..WORDS {
                let (node, name) = &places[below(places.len())];
                let Some(mut words) = tree.node(*node).words(name).filter(|words| !words.is_empty()) else {
                    continue;
                };
                let at = below(words.len());
                words[at] = ODD[below(ODD.len())];
                tree.set(*node, name, &bytes(&words));
            }
            let differences = compare(board, &tree).unwrap_or_default();
            let accepted = check(board, &tree.write()).is_ok_and(|differences| differences.is_empty());
            told += u32::from(!differences.is_empty());
            if accepted && !differences.is_empty() {
                return Err("what is different is accepted when it is read".into());
            }
        }
        if told == 0 {
            return Err(format!("{}: nothing told in {ROUNDS} rounds", file.display()).into());
        }
    }
    Ok(())
}

fn is_known(board: &Description, tree: &Tree, change: &Change) -> bool {
    let changed = format!("{}:{}", tree.node(change.node).path(), change.property);
    let mut lines = known::lines().filter_map(|(_, line)| line.ok());
    lines.any(|line| line.board == board.name && matches!(line.fact, Fact::Differs { place, .. } if place == changed))
}

/// Makes each change, looks for it, and undoes it.
fn told(board: &Description, mut tree: Tree, changes: &[Change]) -> Outcome {
    let mut kinds: Vec<&str> = changes.iter().map(|change| change.what).collect();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.len() < 10 || changes.len() < 50 {
        return Err(format!("only {} changes, of the kinds {kinds:?}", changes.len()).into());
    }
    let mut silent = Vec::new();
    for change in changes {
        let before = tree.node(change.node).get(&change.property).map(<[u8]>::to_vec);
        let node = tree.node(change.node);
        let path = node.path();
        // What is gone is told of the master that is described, which may be a node above.
        let above: Vec<String> = node.upwards().skip(1).map(Node::path).collect();
        let is_told = |place: &str| place == path || change.value.is_none() && above.iter().any(|above| above == place);
        put(&mut tree, change.node, &change.property, change.value.as_deref());
        let differences = compare(board, &tree).unwrap_or_default();
        if !differences
            .iter()
            .any(|one| is_told(&one.path) && one.property == change.property)
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

/// The base of an entry of `reg` a page further on.
fn moved(node: Node<'_>, entry: usize) -> Option<Change> {
    let mut words = node.words("reg")?;
    let [address, size] = ["#address-cells", "#size-cells"].map(|name| node.parent()?.word(name));
    let (address, size) = (address? as usize, size? as usize);
    let low = words.get_mut((address + size) * entry + address.checked_sub(1)?)?;
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

/// An interrupt with another number, with another trigger, and of the other type.
fn rewired(node: Node<'_>, entry: usize) -> Vec<Change> {
    let found = interrupts(node);
    let (Some(words), Some(Some(_))) = (node.words("interrupts"), found.get(entry)) else {
        return Vec::new();
    };
    let start = words.len() / found.len() * entry;
    let wired = |index: usize, flip: u32, what| {
        let mut words = words.clone();
        words[start + index] ^= flip;
        change(node, "interrupts", bytes(&words), what)
    };
    vec![
        wired(0, 1, "an interrupt of the other type"),
        wired(1, 1, "an interrupt with another number"),
        // An edge for a level, and back.
        wired(2, 5, "an interrupt with another trigger"),
    ]
}

/// Registers of a device that nobody describes, laid over those that EL2 hides: the first unit's, or a trace port.
fn over_hidden(soc: &SocDescription, tree: &Tree) -> Vec<Change> {
    const UNDESCRIBED: [&str; 3] = ["thermal-sensor", "rng", "hwlock"];
    let hidden = soc.withheld.iter().flat_map(|withheld| withheld.registers).next();
    let Some(hidden) = hidden.map(|range| range.start().get()) else {
        return Vec::new();
    };
    let nodes = tree
        .nodes()
        .filter(|node| UNDESCRIBED.contains(&node.kind()) && node.is_enabled());
    let nodes = nodes.filter(|node| !registers(*node).is_empty());
    nodes
        .filter_map(|node| {
            let mut words = node.words("reg")?;
            let low = node.parent()?.word("#address-cells")? as usize - 1;
            *words.get_mut(low)? = u32::try_from(hidden).ok()?;
            Some(change(node, "reg", bytes(&words), "registers laid over hidden ones"))
        })
        .collect()
}

/// A stream more, another in place of the first, and all gone.
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
        changes.push(Change {
            value: None,
            ..change(node, "iommus", Vec::new(), "the streams gone")
        });
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
