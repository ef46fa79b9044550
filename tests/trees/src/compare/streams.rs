//! Streams, both ways: what is described is in the tree, and no node has a stream that is not described.

use super::Subject;
use crate::difference::list;
use crate::tree::{Node, Tree};
use crate::values::{Stream, StreamRun, stream_runs, streams};
use leasehold_drivers::smmu::v2::Streams;
use leasehold_soc::description::{Master, SmmuUnit, SmmuUnitKind};

/// The streams of a node, and the property that has them.
struct Found<'a> {
    node: Node<'a>,
    property: &'static str,
    /// `None` where an entry points at no SMMU.
    stream: Option<Stream>,
}

pub(super) fn compare(subject: &mut Subject<'_>) {
    let all: Vec<Found<'_>> = subject.tree.nodes().flat_map(found).collect();
    let soc = subject.soc;
    for unit in soc.smmus {
        for master in unit.masters {
            described_is_found(subject, unit, master, &all);
        }
    }
    for own in all.chunk_by(|one, next| (one.node.id(), one.property) == (next.node.id(), next.property)) {
        let (node, property) = (own[0].node, own[0].property);
        let wrong = own
            .iter()
            .filter_map(|found| Some((not_described(subject, found)?, found.stream)));
        let wrong: Vec<(String, Option<Stream>)> = wrong.collect();
        if let Some((described, _)) = wrong.first() {
            let streams: Vec<Stream> = wrong.iter().filter_map(|(_, stream)| *stream).collect();
            let found = match streams.len() == wrong.len() {
                true => told(subject.tree, &streams),
                false => "an entry that points at no SMMU".into(),
            };
            subject.differences.of(node, property, described, found);
        }
    }
}

fn found(node: Node<'_>) -> Vec<Found<'_>> {
    let own = streams(node).into_iter().map(|stream| ("iommus", stream));
    let runs = stream_runs(node).into_iter().flat_map(|run| match run {
        Some(run) => expand(run).into_iter().map(Some).collect(),
        None => vec![None],
    });
    own.chain(runs.map(|stream| ("iommu-map", stream)))
        .map(|(property, stream)| Found { node, property, stream })
        .collect()
}

/// How many ids an SMMU has at most, whose ids are as wide as the descriptions'.
const MOST: u32 = 1 << 16;

/// A run of streams as ids with masks. A run that is a whole aligned power of two is one; one that is longer than any
/// SMMU's ids is all that there are.
fn expand(run: StreamRun) -> Vec<Stream> {
    let stream = |id, mask| Stream {
        smmu: run.smmu,
        id,
        mask,
    };
    match run.count {
        count if count.is_power_of_two() && run.first.is_multiple_of(count) => vec![stream(run.first, count - 1)],
        MOST.. => vec![stream(0, u32::MAX)],
        count => (0..count).map(|n| stream(run.first.wrapping_add(n), 0)).collect(),
    }
}

fn is_below(node: Node<'_>, top: Node<'_>) -> bool {
    node.upwards().any(|above| above.id() == top.id())
}

/// Whether each of a stream's ids is among others': a run of single ones is as good as one with a mask.
fn is_among(stream: Stream, others: impl Iterator<Item = Stream> + Clone) -> bool {
    if stream.mask.count_ones() > MOST.ilog2() {
        return false;
    }
    let is = |id: u32| others.clone().any(|other| (other.id ^ id) & !other.mask == 0);
    let free: Vec<u32> = (0..u32::BITS)
        .map(|bit| 1 << bit)
        .filter(|bit| stream.mask & bit != 0)
        .collect();
    (0..1_u32 << free.len()).all(|number| {
        let bits = free.iter().enumerate().filter(|(index, _)| number >> index & 1 != 0);
        is(bits.fold(stream.id & !stream.mask, |id, (_, bit)| id | bit))
    })
}

/// Streams in words: those of one SMMU together.
fn told(tree: &Tree, streams: &[Stream]) -> String {
    let units = streams.chunk_by(|one, next| one.smmu == next.smmu);
    list(units.map(|unit| format!("{} ({})", list(unit), tree.node(unit[0].smmu).path())))
}

/// The SMMU that a unit describes.
fn node_of<'a>(subject: &Subject<'a>, unit: &SmmuUnit) -> Option<Node<'a>> {
    subject.node(unit.block.source.node()?)
}

fn described_is_found(subject: &mut Subject<'_>, unit: &SmmuUnit, master: &Master, all: &[Found<'_>]) {
    let Some(path) = master.source.node() else { return };
    let Some(top) = subject.node(path) else {
        subject
            .differences
            .at(path, "", format!("a node, {}", master.name), "none");
        return;
    };
    // An SMMU that is not there has been told of.
    let Some(smmu) = node_of(subject, unit) else { return };
    let own: Vec<&Found<'_>> = all.iter().filter(|found| is_below(found.node, top)).collect();
    let at_unit = own
        .iter()
        .filter_map(|found| found.stream)
        .filter(|stream| stream.smmu == smmu.id());
    let at_unit: Vec<Stream> = at_unit.collect();
    let described = master.streams.iter().map(|own| Stream {
        smmu: smmu.id(),
        id: own.id.into(),
        mask: own.mask.into(),
    });
    let missing: Vec<Stream> = described
        .filter(|one| !is_among(*one, at_unit.iter().copied()))
        .collect();
    if !missing.is_empty() {
        let property = own.first().map_or("iommus", |found| found.property);
        let there: Vec<Stream> = own
            .iter()
            .filter(|found| !is_anothers(subject, unit, found.node, top))
            .filter_map(|found| found.stream)
            .collect();
        let (missing, there) = (told(subject.tree, &missing), told(subject.tree, &there));
        subject.differences.of(top, property, missing, there);
    }
}

/// Whether a node below `top` is one of another master that is described there.
fn is_anothers(subject: &Subject<'_>, unit: &SmmuUnit, node: Node<'_>, top: Node<'_>) -> bool {
    let mut others = unit
        .masters
        .iter()
        .filter_map(|other| subject.node(other.source.node()?));
    others.any(|other| other.id() != top.id() && is_below(other, top) && is_below(node, other))
}

/// What is described in place of a stream that is not.
fn not_described(subject: &Subject<'_>, found: &Found<'_>) -> Option<String> {
    let Found { node, stream, .. } = *found;
    let soc = subject.soc;
    let unit = |stream: Stream| {
        let mut units = soc.smmus.iter();
        units.find(|unit| node_of(subject, unit).is_some_and(|node| node.id() == stream.smmu))
    };
    let Some((stream, unit)) = stream.and_then(|stream| Some((stream, unit(stream)?))) else {
        return Some("streams of described SMMUs".into());
    };
    let named = unit.masters.iter().filter(|master| {
        let top = master.source.node().and_then(|path| subject.node(path));
        top.is_some_and(|top| is_below(node, top))
    });
    let named: Vec<&Master> = named.collect();
    let all = named.iter().flat_map(|master| master.streams).map(|own| Stream {
        id: own.id.into(),
        mask: own.mask.into(),
        ..stream
    });
    if !(is_v3(unit) && !named.is_empty() || is_among(stream, all)) {
        let described = named.iter().flat_map(|master| master.streams);
        return Some(list(described.map(|own| format!("{:#x}/{:#x}", own.id, own.mask))));
    }
    // What the driver is given must let them past, or the host's device stands still.
    match &unit.kind {
        SmmuUnitKind::V2(instance) if unit.contains() && !instance.streams.iter().any(|own| covers(own, stream)) => {
            Some("in the unit's own list".into())
        }
        _ => None,
    }
}

/// An SMMUv3 has all streams on the host's tables.
fn is_v3(unit: &SmmuUnit) -> bool {
    matches!(unit.kind, SmmuUnitKind::V3)
}

fn covers(own: &Streams, stream: Stream) -> bool {
    match (u16::try_from(stream.id), u16::try_from(stream.mask)) {
        (Ok(id), Ok(mask)) => own.covers(Streams::new(id, mask)),
        _ => false,
    }
}
