//! Who sees which registers: each enabled node's are in a window of the host's, or the node is kept from the host and
//! its registers with it; and each bus master without streams is known.

use super::Subject;
use super::blocks::span;
use crate::difference::list;
use crate::masters::{Role, role};
use crate::tree::Node;
use crate::values::{Span, pci_windows, registers};
use leasehold_boards::qualcomm::kept;
use leasehold_hal::SocError;
use leasehold_memory_map::{Address, Kept};
use leasehold_soc::description::Withheld;
use leasehold_soc::qualcomm::Windows;

/// Where there are addresses that are no registers.
const MEMORY: [&str; 2] = ["memory", "reserved-memory"];

pub(super) fn compare(subject: &mut Subject<'_>) {
    let rules = match Rules::new(subject) {
        Ok(rules) => rules,
        Err(error) => {
            let found = format!("more than EL2 has room for: {error:?}");
            subject
                .differences
                .at("/soc@0", "", "windows and what is hidden", found);
            return;
        }
    };
    let gic = subject
        .soc
        .gic
        .block()
        .source
        .node()
        .and_then(|path| subject.node(path));
    for node in subject.tree.nodes() {
        let top = node
            .upwards()
            .find(|above| above.parent().is_some_and(|root| root.parent().is_none()));
        if top.is_some_and(|top| MEMORY.contains(&top.kind())) || !node.is_enabled() {
            continue;
        }
        // Trapped in part: the host has its node, and meets EL2 where its window has holes.
        if gic.is_some_and(|gic| gic.id() == node.id()) {
            continue;
        }
        let spans: Vec<Span> = registers(node).into_iter().chain(pci_windows(node)).collect();
        if !spans.is_empty() {
            rules.check(subject, node, &spans);
        }
    }
    withheld_are_found(subject);
}

/// What EL2 makes of the description, for one node at a time.
struct Rules {
    seen: Vec<Span>,
    hidden: Vec<Span>,
    kept: Vec<Kept<'static>>,
}

impl Rules {
    /// As EL2 computes it on the board.
    fn new(subject: &Subject<'_>) -> Result<Rules, SocError> {
        let windows = Windows::of(subject.soc, subject.board.log_uart())?;
        Ok(Rules {
            seen: windows.seen.iter().copied().map(span).collect(),
            hidden: windows.hidden.iter().copied().map(span).collect(),
            kept: kept(subject.board).as_slice().to_vec(),
        })
    }

    fn check(&self, subject: &mut Subject<'_>, node: Node<'_>, spans: &[Span]) {
        let those = |test: &dyn Fn(Span) -> bool| spans.iter().copied().filter(|one| test(*one)).collect::<Vec<Span>>();
        if self.is_kept(subject, node) {
            // The host's tree has it not: nor may the host have its registers.
            let open = those(&|one| self.seen.iter().any(|window| window.overlaps(one)));
            if !open.is_empty() {
                let described = "kept from the host, registers and all";
                let found = format!("open to the host: {}", list(open));
                subject.differences.of(node, "reg", described, found);
            }
            return;
        }
        let away = those(&|one| !covers(&self.seen, one));
        let hidden = those(&|one| self.hidden.iter().any(|hidden| hidden.overlaps(one)));
        if !hidden.is_empty() {
            let described = "a node that the host does not get, since EL2 hides its registers";
            subject.differences.of(node, "reg", described, list(hidden));
        } else if !away.is_empty() {
            let described = "in a window of the host's, or kept from it";
            subject.differences.of(node, "reg", described, list(away));
        }
        check_role(subject, node);
    }

    /// Whether the host's tree has not the node, as it or one above it is left out.
    fn is_kept(&self, subject: &Subject<'_>, node: Node<'_>) -> bool {
        node.upwards()
            .any(|above| self.kept.iter().any(|kept| matches(subject, above, kept)))
    }
}

/// Whether a range is in several together: they may meet.
fn covers(places: &[Span], one: Span) -> bool {
    let mut at = one.start;
    while at < one.end() {
        match places
            .iter()
            .filter(|place| place.start <= at && at < place.end())
            .map(|place| place.end())
            .max()
        {
            Some(end) => at = end,
            None => return false,
        }
    }
    // A range of no bytes is in whatever has its start.
    one.len > 0 || places.iter().any(|place| place.covers(one))
}

fn matches(subject: &Subject<'_>, node: Node<'_>, kept: &Kept<'_>) -> bool {
    match kept {
        Kept::Path(path) => subject.node(path).is_some_and(|found| found.id() == node.id()),
        Kept::Compatible(name) => node.is_compatible(name),
        Kept::Reg(start) => registers(node).first().is_some_and(|first| first.start == start.get()),
    }
}

/// A bus master has streams, or is named.
fn check_role(subject: &mut Subject<'_>, node: Node<'_>) {
    let has_streams = |node: Node<'_>| node.has("iommus") || node.has("iommu-map");
    // Streams of a node's parent are its own (GENI engines); those of nodes in it are what firmware works with.
    if node.upwards().any(has_streams) {
        return;
    }
    let soc = subject.soc;
    let contained = soc
        .smmus
        .iter()
        .filter(|unit| unit.contains())
        .flat_map(|unit| unit.masters);
    let is_named = soc.uncontained().chain(contained).any(|master| {
        let named = master.source.node().and_then(|path| subject.node(path));
        named.is_some_and(|named| named.id() == node.id())
    });
    let described = "streams, or a place in the list of masters that no SMMU contains, or kept from the host";
    match role(node) {
        Role::NoMaster => {}
        Role::Master if is_named => {}
        // One that is the host's, as Secure code has left it, contains nobody.
        Role::Smmu if is_hosts_smmu(subject, node) => {}
        Role::Processor if is_named || within(node).any(has_streams) => {}
        Role::Master => subject
            .differences
            .of(node, "iommus", described, "a bus master without streams"),
        Role::Smmu => subject
            .differences
            .of(node, "", "EL2's alone", "a part of an SMMU that the host has"),
        Role::Processor => subject
            .differences
            .of(node, "iommus", described, "a processor without streams"),
        Role::Unknown => {
            let found = format!(
                "a kind of node of which nobody has said whether it reaches memory ({})",
                node.kind()
            );
            subject.differences.of(node, "compatible", described, found);
        }
    }
}

fn is_hosts_smmu(subject: &Subject<'_>, node: Node<'_>) -> bool {
    let mut units = subject.soc.smmus.iter().filter(|unit| unit.is_hosts());
    units.any(|unit| {
        let smmu = unit.block.source.node().and_then(|path| subject.node(path));
        smmu.is_some_and(|smmu| node.upwards().any(|above| above.id() == smmu.id()))
    })
}

/// The nodes in a node, at any depth.
fn within(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    let below = move |other: &Node<'_>| other.id() != node.id() && other.upwards().any(|above| above.id() == node.id());
    node.tree().nodes().filter(below)
}

/// A node that is kept by its path is there: else something else may be where it was.
fn withheld_are_found(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    for Withheld { name, nodes, .. } in soc.withheld {
        for kept in *nodes {
            if let Kept::Path(path) = kept
                && subject.node(path).is_none()
            {
                subject
                    .differences
                    .at(path, "", format!("a node, kept from the host ({name})"), "none");
            }
        }
    }
}
