//! What is the board's own: its name, its console, its reserved memory and pins.

use super::Subject;
use super::blocks::span;
use crate::difference::list;
use crate::tree::Node;
use crate::values::{Span, registers};
use leasehold_boards::Tree;
use leasehold_memory_map::Address;

pub(super) fn compare(subject: &mut Subject<'_>, expected: &Tree) {
    let root = subject.tree.root();
    let names = root.strings("compatible");
    if names.first() != Some(&expected.compatible) {
        subject
            .differences
            .of(root, "compatible", expected.compatible, list(names));
    }
    compare_console(subject);
    compare_reserved(subject);
    compare_pins(subject);
}

/// The log channel is the debug console: the port whose wires are brought out, and which firmware has clocked.
fn compare_console(subject: &mut Subject<'_>) {
    let described = subject.board.log_uart().and_then(|uart| uart.block.source.node());
    let (Some(described), Some(chosen)) = (described, subject.tree.at("/chosen")) else {
        return;
    };
    let stdout = chosen.strings("stdout-path");
    let stdout = stdout.first().copied().unwrap_or_default();
    let name = stdout.split(':').next().unwrap_or_default();
    let path = match subject.tree.at("/aliases") {
        Some(aliases) if !name.starts_with('/') => aliases.strings(name).first().copied().unwrap_or_default(),
        _ => name,
    };
    if path != described {
        let found = format!("{stdout}, which is {path}");
        subject.differences.of(chosen, "stdout-path", described, found);
    }
}

/// Every reserved range is described, and every described range is reserved.
fn compare_reserved(subject: &mut Subject<'_>) {
    let board = subject.board;
    let Some(memory) = subject.tree.at("/reserved-memory") else {
        subject.differences.at("/reserved-memory", "", "a node", "none");
        return;
    };
    for described in board.reserved {
        let path = format!("/reserved-memory/{}", described.node);
        match subject.node(&path) {
            Some(node) if node.is_enabled() => {
                let found = registers(node);
                if found != [span(described.range)] {
                    subject.differences.of(node, "reg", span(described.range), list(found));
                }
            }
            Some(node) => subject.differences.of(node, "status", "okay", node.status()),
            None => subject.differences.at(&path, "", span(described.range), "none"),
        }
    }
    for node in memory.children().filter(|node| node.is_enabled()) {
        let found = registers(node);
        let is_described = board.reserved.iter().any(|described| {
            let path = format!("/reserved-memory/{}", described.node);
            subject.node(&path).is_some_and(|described| described.id() == node.id())
        });
        if !found.is_empty() && !is_described {
            let what = if node.has("no-map") { ", no-map" } else { "" };
            subject
                .differences
                .of(node, "reg", "nothing", format!("{}{what}", list(&found)));
        }
        load_is_apart(subject, node, &found);
    }
}

/// EL2's image is not where somebody else's memory is.
fn load_is_apart(subject: &mut Subject<'_>, node: Node<'_>, found: &[Span]) {
    let load = Span::new(subject.board.load_address.get(), 1);
    if let Some(range) = found.iter().find(|range| range.overlaps(load)) {
        let described = format!("apart from EL2's image, which is linked at {:#x}", load.start);
        subject.differences.of(node, "reg", described, range);
    }
}

fn compare_pins(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    let Some(node) = soc.tlmm.block.source.node().and_then(|path| subject.node(path)) else {
        return;
    };
    let words = node.words("gpio-reserved-ranges").unwrap_or_default();
    let found = words
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[first, count]| format!("{first}..{}", u64::from(*first) + u64::from(*count)));
    let described = subject
        .board
        .reserved_pins
        .iter()
        .map(|pins| format!("{}..{}", pins.start, pins.end));
    subject
        .differences
        .same(node, "gpio-reserved-ranges", list(described), list(found));
}
