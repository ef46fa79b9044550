//! What particular blocks' nodes say besides registers and interrupts.

use super::Subject;
use crate::difference::list;
use crate::tree::Node;
use crate::values::registers;
use leasehold_drivers::smmu::v2::{Implementation, Walks};
use leasehold_soc::description::{Block, Gic, SmmuUnitKind};

pub(super) fn compare(subject: &mut Subject<'_>) {
    compare_gic(subject);
    compare_smmus(subject);
    compare_pins(subject);
    compare_power(subject);
    compare_cache(subject);
    compare_addresses(subject);
    let soc = subject.soc;
    if let Some(node) = node(subject, &soc.scm.block) {
        needs_compatible(subject, node, soc.scm.compatible);
    }
    if let Some(node) = soc
        .watchdog
        .as_ref()
        .and_then(|watchdog| node(subject, &watchdog.block))
    {
        needs_compatible(subject, node, "qcom,kpss-wdt");
        // Of one that is for somebody else, EL2 must not read as much as whether it runs.
        if soc.petted_watchdog().is_some() && !node.is_enabled() {
            subject.differences.of(node, "status", "okay", node.status());
        }
    }
}

fn node<'a>(subject: &Subject<'a>, block: &Block) -> Option<Node<'a>> {
    subject.node(block.source.node()?)
}

fn needs_compatible(subject: &mut Subject<'_>, node: Node<'_>, name: &str) {
    if !node.is_compatible(name) {
        let found = list(node.strings("compatible"));
        subject.differences.of(node, "compatible", name, found);
    }
}

fn compare_gic(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    let Some(node) = node(subject, soc.gic.block()) else {
        return;
    };
    match &soc.gic {
        Gic::V2 { .. } => needs_compatible(subject, node, "qcom,msm-qgic2"),
        Gic::V3 { stride, .. } => {
            needs_compatible(subject, node, "arm,gic-v3");
            // Without the property redistributors are two frames apart (the binding arm,gic-v3).
            let words = node.words("redistributor-stride");
            let found = words.map_or(0x2_0000, |words| {
                words.iter().fold(0, |n, word| n << 32 | u64::from(*word))
            });
            if found != *stride {
                let (described, found) = (format!("{stride:#x}"), format!("{found:#x}"));
                subject.differences.of(node, "redistributor-stride", described, found);
            }
            let regions = node.word("#redistributor-regions").unwrap_or(1);
            subject.differences.same(node, "#redistributor-regions", 1, regions);
        }
    }
}

fn compare_smmus(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    for unit in soc.smmus {
        let Some(node) = node(subject, &unit.block) else {
            continue;
        };
        match &unit.kind {
            SmmuUnitKind::V3 => needs_compatible(subject, node, "arm,smmu-v3"),
            SmmuUnitKind::V2(instance) => {
                if matches!(instance.implementation, Implementation::Mmu500(_)) {
                    needs_compatible(subject, node, "arm,mmu-500");
                }
                let described = instance.walks == Walks::CoherentByTree;
                if node.has("dma-coherent") != described {
                    let words = |coherent| {
                        if coherent {
                            "coherent walks"
                        } else {
                            "walks past the caches"
                        }
                    };
                    let (described, found) = (words(described), words(!described));
                    subject.differences.of(node, "dma-coherent", described, found);
                }
            }
        }
    }
}

fn compare_pins(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    let Some(node) = node(subject, &soc.tlmm.block) else {
        return;
    };
    // One range: the controller itself, from its line 0 to line 0 here, so many.
    let found = match node.words("gpio-ranges").as_deref() {
        Some([_, 0, 0, count]) => count.to_string(),
        _ => "something else than one range".into(),
    };
    subject
        .differences
        .same(node, "gpio-ranges", soc.tlmm.lines.to_string(), found);
}

fn compare_power(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    if let Some((pdc, node)) = soc.pdc.as_ref().and_then(|pdc| Some((pdc, node(subject, &pdc.block)?))) {
        let words = node.words("qcom,pdc-ranges").unwrap_or_default();
        let found: Vec<_> = words.as_chunks::<3>().0.iter().map(|[a, b, c]| (*a, *b, *c)).collect();
        if found != pdc.ranges {
            let (described, found) = (format!("{:?}", pdc.ranges), format!("{found:?}"));
            subject.differences.of(node, "qcom,pdc-ranges", described, found);
        }
    }
    if let Some((rsc, node)) = soc.rsc.as_ref().and_then(|rsc| Some((rsc, node(subject, &rsc.block)?))) {
        for (property, described) in [
            ("qcom,drv-id", u64::from(rsc.config.drv)),
            ("qcom,tcs-offset", rsc.config.sets_at as u64),
        ] {
            let found = node.word(property).map_or("none".into(), |word| format!("{word:#x}"));
            subject
                .differences
                .same(node, property, format!("{described:#x}"), found);
        }
    }
    if let Some(node) = soc.cmd_db.as_ref().and_then(|cmd_db| node(subject, &cmd_db.block)) {
        needs_compatible(subject, node, "qcom,cmd-db");
    }
}

/// The driver's banks are the node's: so many, and so far apart.
fn compare_cache(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    let Some((llcc, node)) = soc
        .llcc
        .as_ref()
        .and_then(|llcc| Some((llcc, node(subject, &llcc.block)?)))
    else {
        return;
    };
    let named: Vec<_> = node.strings("reg-names").into_iter().zip(registers(node)).collect();
    let Some(first) = named.first().map(|(_, first)| first.start) else {
        return;
    };
    let is_bank = |name: &str| name.starts_with("llcc") && name.ends_with("_base") && !name.contains("broadcast");
    let offset = |start: u64| start.wrapping_sub(first);
    let banks = named.iter().filter(|(name, _)| is_bank(name));
    let banks: Vec<u64> = banks.map(|(_, bank)| offset(bank.start)).collect();
    let described: Vec<u64> = llcc.config.banks.iter().map(|bank| *bank as u64).collect();
    if banks != described {
        let told = |banks: &[u64]| format!("banks at {}", list(banks.iter().map(|bank| format!("{bank:#x}"))));
        subject
            .differences
            .of(node, "reg-names", told(&described), told(&banks));
    }
    let broadcast = named.iter().find(|(name, _)| *name == "llcc_broadcast_base");
    let broadcast = broadcast.map_or("none".into(), |(_, span)| format!("{:#x}", offset(span.start)));
    let described = format!("{:#x}", llcc.config.broadcast);
    subject.differences.same(node, "reg", described, broadcast);
}

/// How far devices reach, and where memory starts.
fn compare_addresses(subject: &mut Subject<'_>) {
    let soc = subject.soc;
    if let Some((node, words)) = subject
        .tree
        .at("/soc@0")
        .and_then(|node| Some((node, node.words("dma-ranges")?)))
    {
        let found = match words[..] {
            [0, 0, 0, 0, high, low] => format!("{:#x}", u64::from(high) << 32 | u64::from(low)),
            _ => format!("{words:x?}"),
        };
        subject
            .differences
            .same(node, "dma-ranges", format!("{:#x}", 1_u64 << soc.ipa_bits), found);
    }
    for node in subject.tree.root().children() {
        if node.strings("device_type") != ["memory"] {
            continue;
        }
        for found in registers(node) {
            let ram: Vec<_> = soc.ram.iter().copied().map(super::blocks::span).collect();
            // A length of 0 is for the boot loader to fill in.
            if !ram.iter().any(|ram| ram.covers(found)) {
                subject.differences.of(node, "reg", list(ram), found);
            }
        }
    }
}
