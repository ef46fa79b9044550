//! Whose tree it is: the root's names, CPUs, PSCI, and what must be switched on.

use super::Subject;
use crate::difference::list;
use crate::tree::Node;
use leasehold_soc::description::Block;

pub(super) fn compare(subject: &mut Subject<'_>) {
    let root = subject.tree.root();
    let names = root.strings("compatible");
    if !subject.soc.compatible.iter().any(|name| names.contains(name)) {
        let described = format!("one of {}", list(subject.soc.compatible));
        subject.differences.of(root, "compatible", described, list(names));
    }
    compare_cpus(subject);
    compare_psci(subject);
    compare_status(subject);
}

fn compare_cpus(subject: &mut Subject<'_>) {
    let Some(cpus) = subject.tree.at("/cpus") else {
        subject.differences.at("/cpus", "", "a node", "none");
        return;
    };
    let nodes: Vec<Node<'_>> = cpus
        .children()
        .filter(|node| node.strings("device_type") == ["cpu"] && node.is_enabled())
        .collect();
    let affinity = |node: &Node<'_>| {
        let words = node.words("reg").unwrap_or_default();
        words.iter().fold(0, |number, word| number << 32 | u64::from(*word))
    };
    let hex = |affinities: &[u64]| list(affinities.iter().map(|affinity| format!("{affinity:#x}")));
    let (described, found) = (
        subject.soc.cpus.affinities,
        nodes.iter().map(affinity).collect::<Vec<u64>>(),
    );
    // The property of the first that is not as described, or else the list as a whole.
    let wrong = nodes
        .iter()
        .zip(described)
        .find(|(node, described)| affinity(node) != **described);
    if let Some((node, described)) = wrong {
        subject.differences.of(
            *node,
            "reg",
            format!("{described:#x}"),
            format!("{:#x}", affinity(node)),
        );
    } else if found != described {
        subject.differences.of(cpus, "", hex(described), hex(&found));
    }
    for node in nodes {
        subject.differences.same(
            node,
            "enable-method",
            "psci".to_owned(),
            list(node.strings("enable-method")),
        );
    }
}

fn compare_psci(subject: &mut Subject<'_>) {
    let Some(psci) = subject.tree.at("/psci") else {
        subject.differences.at("/psci", "", "a node", "none");
        return;
    };
    subject
        .differences
        .same(psci, "method", "smc".to_owned(), list(psci.strings("method")));
    if !psci.is_compatible("arm,psci-1.0") {
        let found = list(psci.strings("compatible"));
        subject.differences.of(psci, "compatible", "arm,psci-1.0", found);
    }
}

/// What EL2 or the host cannot do without is switched on. Others are on or off as the board has them.
fn compare_status(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    let needed: Vec<&Block> = [soc.gic.block(), &soc.timer.block, &soc.tlmm.block, &soc.scm.block]
        .into_iter()
        .chain(soc.smmus.iter().filter(|unit| unit.contains()).map(|unit| &unit.block))
        .chain(soc.uarts.iter().map(|uart| &uart.block))
        .chain(soc.cmd_db.iter().map(|cmd_db| &cmd_db.block))
        .collect();
    for block in needed {
        let Some(node) = block.source.node().and_then(|path| subject.node(path)) else {
            continue;
        };
        for above in node.upwards().filter(|above| !matches!(above.status(), "okay" | "ok")) {
            subject.differences.of(above, "status", "okay", above.status());
        }
    }
}
