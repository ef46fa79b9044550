//! Device trees as text, near to a `.dts`.

use leasehold_trees::{Node, Tree};
use std::fmt::Write as _;

/// All of a tree, or of what is below a node.
#[must_use]
pub fn whole(node: Node<'_>) -> String {
    let mut text = String::new();
    write_node(&mut text, node, 0);
    text
}

fn write_node(text: &mut String, node: Node<'_>, depth: usize) {
    let indent = "    ".repeat(depth);
    let name = if node.name().is_empty() { "/" } else { node.name() };
    let _ = writeln!(text, "{indent}{name} {{");
    for (name, value) in node.properties() {
        let _ = writeln!(text, "{indent}    {};", property(name, value));
    }
    for child in node.children() {
        write_node(text, child, depth + 1);
    }
    let _ = writeln!(text, "{indent}}};");
}

/// What another tree has made of one: nodes that are gone, what has changed in those that stay, and new ones in full.
#[must_use]
pub fn changes(old: &Tree, new: &Tree) -> String {
    let mut text = String::new();
    for (address, size) in new.reservations() {
        let _ = writeln!(text, "/memreserve/ {address:#x} {size:#x};");
    }
    compare(&mut text, old.root(), new.root());
    text
}

fn compare(text: &mut String, old: Node<'_>, new: Node<'_>) {
    let mut lines = String::new();
    for (name, value) in old.properties() {
        match new.get(name) {
            Some(other) if other == value => {}
            Some(other) => {
                let _ = writeln!(lines, "-   {};\n+   {};", property(name, value), property(name, other));
            }
            None => {
                let _ = writeln!(lines, "-   {};", property(name, value));
            }
        }
    }
    for (name, value) in new.properties() {
        if !old.has(name) {
            let _ = writeln!(lines, "+   {};", property(name, value));
        }
    }
    if !lines.is_empty() {
        let _ = writeln!(text, "  {}\n{}", new.path(), lines.trim_end());
    }
    for child in old.children() {
        match new.child(child.name()) {
            Some(other) => compare(text, child, other),
            None => {
                let _ = writeln!(text, "- {}", child.path());
            }
        }
    }
    for child in new.children().filter(|child| old.child(child.name()).is_none()) {
        let _ = writeln!(text, "+ {}", child.path());
        for line in whole(child).lines() {
            let _ = writeln!(text, "+   {line}");
        }
    }
}

/// A property: as text where it reads like that, else as words, else as bytes.
fn property(name: &str, value: &[u8]) -> String {
    if value.is_empty() {
        return name.into();
    }
    let strings = value
        .strip_suffix(&[0])
        .and_then(|value| str::from_utf8(value).ok())
        .filter(|text| {
            let strings = text.split('\0');
            strings.clone().all(|string| !string.is_empty()) && !text.chars().any(|c| c.is_control() && c != '\0')
        });
    if let Some(strings) = strings {
        let quoted: Vec<_> = strings.split('\0').map(|string| format!("{string:?}")).collect();
        return format!("{name} = {}", quoted.join(", "));
    }
    let numbers: Vec<_> = match value.as_chunks::<4>() {
        (words, []) => words
            .iter()
            .map(|word| format!("{:#x}", u32::from_be_bytes(*word)))
            .collect(),
        _ => return format!("{name} = {value:02x?}"),
    };
    format!("{name} = <{}>", numbers.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_read_as_they_would_in_a_source() {
        assert_eq!(property("dma-coherent", &[]), "dma-coherent");
        assert_eq!(property("compatible", b"a,b\0c\0"), "compatible = \"a,b\", \"c\"");
        assert_eq!(property("reg", &[0, 0, 0, 1, 0, 0, 16, 0]), "reg = <0x1 0x1000>");
        assert_eq!(property("mac", &[1, 2, 3]), "mac = [01, 02, 03]");
    }

    #[test]
    fn changes_are_what_is_gone_what_is_new_and_what_is_other() {
        let mut old = Tree::read(include_bytes!("../../../memory-map/tests/data/virt-gicv3.dtb")).unwrap();
        assert_eq!(changes(&old, &old), "");
        let new = old.clone();
        let root = old.root().id();
        let node = old.add(root, "gone");
        old.set(node, "reg", &[0; 4]);
        old.set(root, "model", b"other\0");
        let model = new.root().get("model").map(|value| property("model", value)).unwrap();
        assert_eq!(
            changes(&old, &new),
            format!("  /\n-   model = \"other\";\n+   {model};\n- /gone\n")
        );
        let with_node = changes(&new, &old);
        assert!(
            with_node.ends_with("+ /gone\n+   gone {\n+       reg = <0x0>;\n+   };\n"),
            "{with_node}"
        );
    }
}
