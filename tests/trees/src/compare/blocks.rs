//! Registers and interrupts, block by block.

use super::Subject;
use crate::difference::list;
use crate::tree::Node;
use crate::values::{Interrupt, Span, Trigger, interrupts, registers};
use leasehold_memory_map::{Address, PhysRange};
use leasehold_soc::description::{self as described, Block};

pub(super) fn compare(subject: &mut Subject<'_>) {
    for block in subject.soc.blocks() {
        let Some(path) = block.source.node() else { continue };
        let Some(node) = subject.node(path) else {
            subject.differences.at(path, "", "a node", "none");
            continue;
        };
        compare_registers(subject, block, node);
        compare_interrupts(subject, block, node);
    }
}

fn compare_registers(subject: &mut Subject<'_>, block: &Block, node: Node<'_>) {
    let described: Vec<Span> = block.reg.iter().copied().map(span).collect();
    let found = registers(node);
    if !found.starts_with(&described) {
        subject.differences.of(node, "reg", list(described), list(found));
    }
}

fn compare_interrupts(subject: &mut Subject<'_>, block: &Block, node: Node<'_>) {
    let described: Vec<Interrupt> = block.interrupts.iter().copied().map(interrupt).collect();
    let found = interrupts(node);
    let same = found
        .iter()
        .zip(&described)
        .all(|(found, one)| found.as_ref() == Some(one));
    if found.len() < described.len() || !same {
        let property = match node.has("interrupts-extended") {
            true => "interrupts-extended",
            false => "interrupts",
        };
        let found = found.iter().map(|found| match found {
            Some(interrupt) => interrupt.to_string(),
            None => "one of another controller".into(),
        });
        subject.differences.of(node, property, list(described), list(found));
    }
}

/// A described range, as trees have them.
pub(super) fn span(range: PhysRange) -> Span {
    Span::new(range.start().get(), range.len())
}

fn interrupt(interrupt: described::Interrupt) -> Interrupt {
    Interrupt {
        intid: interrupt.intid,
        trigger: match interrupt.trigger {
            described::Trigger::EdgeRising => Trigger::EdgeRising,
            described::Trigger::LevelHigh => Trigger::LevelHigh,
            described::Trigger::LevelLow => Trigger::LevelLow,
        },
    }
}
