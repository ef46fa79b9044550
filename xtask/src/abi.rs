//! `cargo xtask abi`: the C header and the tables of `docs/abi.md`, from the crate `abi`.

use crate::{ui, workspace};
use anyhow::{Context, Result, bail};
use leasehold_abi::{Call, Constant, ffa, psci, sdei, smccc, vendor};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// Writes `linux/leasehold_abi.h` and the tables of `docs/abi.md` from the crate `abi`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Write nothing; fail when a file is not as it would be written.
    #[arg(long)]
    pub check: bool,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be written, or `--check` finds one that differs.
pub fn run(args: Args) -> Result<()> {
    if args.check {
        return check();
    }
    for (path, text) in generated()? {
        if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            ui::step("Writing", path.display());
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

/// Compares the generated files with what they should be.
///
/// # Errors
/// When one differs.
pub fn check() -> Result<()> {
    for (path, text) in generated()? {
        if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            let what = format!("{} is not what the crate `abi` says", path.display());
            return Err(ui::failure(what, "run `cargo xtask abi` and commit what it writes"));
        }
    }
    Ok(())
}

fn generated() -> Result<[(PathBuf, String); 2]> {
    let document = workspace::root().join("docs/abi.md");
    let text = fs::read_to_string(&document).with_context(|| format!("cannot read {}", document.display()))?;
    let text = fill(&text, &tables()).with_context(|| format!("cannot fill in {}", document.display()))?;
    Ok([
        (workspace::root().join("linux/leasehold_abi.h"), header()),
        (document, text),
    ])
}

/// A table of numbers, and what its names begin with in C.
struct Table {
    title: &'static str,
    prefix: &'static str,
    constants: &'static [Constant],
    style: Style,
}

/// How a table's numbers are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Decimal,
    Hexadecimal,
}

const fn table(title: &'static str, prefix: &'static str, constants: &'static [Constant], style: Style) -> Table {
    Table {
        title,
        prefix,
        constants,
        style,
    }
}

const TABLES: &[Table] = &[
    table("Status codes of the calls", "LH_", vendor::STATUSES, Style::Decimal),
    table("Why VM_RUN returned", "LH_", vendor::EXIT_REASONS, Style::Decimal),
    table("Feature bits", "LH_", vendor::FEATURE_BITS, Style::Hexadecimal),
    table(
        "Classes of access in a fault record",
        "LH_",
        vendor::ACCESS_CLASSES,
        Style::Decimal,
    ),
    table(
        "Mechanisms in a fault record",
        "LH_",
        vendor::MECHANISMS,
        Style::Decimal,
    ),
    table("Lengths", "LH_", vendor::LIMITS, Style::Decimal),
    table(
        "SMCCC (Arm DEN0028): function ids",
        "LH_SMCCC_",
        smccc::FUNCTIONS,
        Style::Hexadecimal,
    ),
    table("SMCCC: return codes", "LH_SMCCC_", smccc::RETURN_CODES, Style::Decimal),
    table(
        "FF-A (Arm DEN0077A): function ids",
        "LH_FFA_",
        ffa::FUNCTIONS,
        Style::Hexadecimal,
    ),
    table("FF-A: error codes", "LH_FFA_", ffa::ERRORS, Style::Decimal),
    table(
        "FF-A: memory access permissions",
        "LH_FFA_",
        ffa::PERMISSIONS,
        Style::Hexadecimal,
    ),
    table(
        "PSCI (Arm DEN0022): function ids",
        "LH_PSCI_",
        psci::FUNCTIONS,
        Style::Hexadecimal,
    ),
    table("PSCI: return codes", "LH_PSCI_", psci::RETURN_CODES, Style::Decimal),
    table(
        "SDEI (Arm DEN0054): function ids",
        "LH_SDEI_",
        sdei::FUNCTIONS,
        Style::Hexadecimal,
    ),
    table("SDEI: return codes", "LH_SDEI_", sdei::RETURN_CODES, Style::Decimal),
    table("SDEI: events", "LH_SDEI_", sdei::EVENTS, Style::Hexadecimal),
];

/// Numbers that stand in no table.
const SINGLES: &[(&str, i64, &str)] = &[
    (
        "LH_SMCCC_VERSION_1_2",
        smccc::VERSION_1_2 as i64,
        "The version of SMCCC that is answered.",
    ),
    (
        "LH_FFA_VERSION_1_2",
        ffa::VERSION_1_2 as i64,
        "The version of FF-A that is answered.",
    ),
    (
        "LH_FFA_HYPERVISOR_ID",
        ffa::HYPERVISOR_ID as i64,
        "The hypervisor's endpoint id.",
    ),
    (
        "LH_FFA_HOST_ID",
        ffa::HOST_ID as i64,
        "The host's endpoint id; guests have those that follow.",
    ),
    (
        "LH_FFA_ATTRIBUTES_NORMAL_WB_ISH",
        ffa::ATTRIBUTES_NORMAL_WB_ISH as i64,
        "Normal, Write-Back, Inner Shareable.",
    ),
    (
        "LH_PSCI_VERSION_1_1",
        psci::VERSION_1_1 as i64,
        "The version of PSCI that is answered.",
    ),
];

/// The C header.
fn header() -> String {
    let mut text = String::from(
        "/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */\n\
         /*\n * What Leasehold, its hosts and its guests share.\n \
         * Generated from the crate `abi` by `cargo xtask abi`: do not edit.\n */\n\
         #ifndef LEASEHOLD_ABI_H\n#define LEASEHOLD_ABI_H\n",
    );
    let write = &mut text;
    let _ = writeln!(write, "\n/* What the UID call returns in w0 to w3 */");
    for (index, word) in vendor::UID.iter().enumerate() {
        define(write, &format!("LH_UID_{index}"), &format!("{word:#010x}U"));
    }
    let _ = writeln!(write, "\n/* The revision of the calls of our own */");
    define(write, "LH_REVISION_MAJOR", &vendor::REVISION_MAJOR.to_string());
    define(write, "LH_REVISION_MINOR", &vendor::REVISION_MINOR.to_string());
    let _ = writeln!(write, "\n/* Calls of our own: x0 returns a status */");
    for call in vendor::CALLS {
        comment(write, call.doc);
        define(write, &format!("LH_{}", call.name), &format!("{:#010x}U", call.id));
    }
    for table in TABLES {
        let _ = writeln!(write, "\n/* {} */", table.title);
        for constant in table.constants {
            comment(write, constant.doc);
            define(
                write,
                &format!("{}{}", table.prefix, constant.name),
                &in_c(constant.value, table.style),
            );
        }
    }
    let _ = writeln!(write, "\n/* Versions, ids, attributes */");
    for (name, value, doc) in SINGLES {
        comment(write, doc);
        define(write, name, &in_c(*value, Style::Hexadecimal));
    }
    text.push_str("\n#endif /* LEASEHOLD_ABI_H */\n");
    text
}

/// The width of a line in the kernel's C style.
const LINE: usize = 100;

fn comment(text: &mut String, doc: &str) {
    let mut line = String::from("/*");
    for word in plain(doc).split_whitespace() {
        if line.len() + 1 + word.len() + " */".len() > LINE {
            let _ = writeln!(text, "{line}");
            line = String::from(" *");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line} */");
}

fn define(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "#define {name:<31} {value}");
}

fn in_c(value: i64, style: Style) -> String {
    match style {
        Style::Hexadecimal if value >= 0 => format!("{value:#x}U"),
        _ if value < 0 => format!("({value})"),
        _ => value.to_string(),
    }
}

/// A doc comment as plain text: without marks for code and links.
fn plain(doc: &str) -> String {
    doc.replace('`', "").trim().to_owned()
}

/// The tables of the document, by the name in their markers.
fn tables() -> Vec<(&'static str, String)> {
    let numbers = |constants: &[Constant], style| numbers(constants, style);
    vec![
        ("calls", calls(vendor::CALLS)),
        ("statuses", numbers(vendor::STATUSES, Style::Decimal)),
        ("exits", numbers(vendor::EXIT_REASONS, Style::Decimal)),
        ("features", numbers(vendor::FEATURE_BITS, Style::Hexadecimal)),
        ("classes", numbers(vendor::ACCESS_CLASSES, Style::Decimal)),
        ("mechanisms", numbers(vendor::MECHANISMS, Style::Decimal)),
        ("limits", numbers(vendor::LIMITS, Style::Decimal)),
        ("smccc", numbers(smccc::FUNCTIONS, Style::Hexadecimal)),
        ("ffa", numbers(ffa::FUNCTIONS, Style::Hexadecimal)),
        ("ffa-errors", numbers(ffa::ERRORS, Style::Decimal)),
        ("psci", numbers(psci::FUNCTIONS, Style::Hexadecimal)),
        ("sdei", numbers(sdei::FUNCTIONS, Style::Hexadecimal)),
        ("sdei-codes", numbers(sdei::RETURN_CODES, Style::Decimal)),
        ("sdei-events", numbers(sdei::EVENTS, Style::Hexadecimal)),
        ("identity", identity()),
    ]
}

fn identity() -> String {
    let words: Vec<String> = vendor::UID.iter().map(|word| format!("`{word:#010x}`")).collect();
    format!(
        "| what | value |\n| --- | --- |\n| UID, `w0` to `w3` | {} |\n| revision, major and minor | {}.{} |\n",
        words.join(" "),
        vendor::REVISION_MAJOR,
        vendor::REVISION_MINOR
    )
}

fn calls(calls: &[Call]) -> String {
    let list = |from: usize, names: &[&str]| {
        let named = names
            .iter()
            .enumerate()
            .map(|(index, name)| format!("x{}: {name}", index + from));
        if names.is_empty() {
            "–".into()
        } else {
            named.collect::<Vec<_>>().join("<br>")
        }
    };
    let mut text =
        String::from("| call | id | arguments | returns | what it does |\n| --- | --- | --- | --- | --- |\n");
    for Call {
        name,
        id,
        args,
        returns,
        doc,
    } in calls
    {
        let _ = writeln!(
            text,
            "| `{name}` | `{id:#010x}` | {} | {} |{doc} |",
            list(1, args),
            list(1, returns)
        );
    }
    text
}

fn numbers(constants: &[Constant], style: Style) -> String {
    let mut text = String::from("| name | value | meaning |\n| --- | --- | --- |\n");
    for Constant { name, value, doc } in constants {
        let value = if style == Style::Hexadecimal {
            format!("`{value:#x}`")
        } else {
            value.to_string()
        };
        let _ = writeln!(text, "| `{name}` | {value} | {} |", cell(doc));
    }
    text
}

/// A doc comment as a cell of a table.
fn cell(doc: &str) -> String {
    doc.trim().replace('|', "\\|")
}

/// Replaces what stands between `<!-- abi:NAME -->` and `<!-- abi:end -->` by the table of that name.
fn fill(document: &str, tables: &[(&str, String)]) -> Result<String> {
    const END: &str = "<!-- abi:end -->";
    let mut text = document.to_owned();
    for (name, table) in tables {
        let begin = format!("<!-- abi:{name} -->\n");
        let Some(at) = text.find(&begin).map(|at| at + begin.len()) else {
            bail!("it has no line {}", begin.trim_end());
        };
        let length = text[at..]
            .find(END)
            .with_context(|| format!("the table {name} has no line {END} after it"))?;
        text.replace_range(at..at + length, table);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_table_is_replaced_and_the_rest_stays() {
        let document = "# A\n<!-- abi:x -->\nold\nold\n<!-- abi:end -->\nprose\n<!-- abi:y -->\n<!-- abi:end -->\n";
        let tables = [("x", "| new |\n".to_owned()), ("y", "| other |\n".to_owned())];
        let filled = fill(document, &tables).unwrap();
        let expected =
            "# A\n<!-- abi:x -->\n| new |\n<!-- abi:end -->\nprose\n<!-- abi:y -->\n| other |\n<!-- abi:end -->\n";
        assert_eq!(filled, expected);
        assert_eq!(fill(&filled, &tables).unwrap(), filled);
        assert!(
            fill("nothing", &tables)
                .unwrap_err()
                .to_string()
                .contains("no line <!-- abi:x -->")
        );
        assert!(fill("<!-- abi:x -->\n", &tables).is_err());
    }

    #[test]
    fn every_name_in_the_header_is_defined_once() {
        let header = header();
        let mut seen = BTreeMap::new();
        for line in header.lines().filter_map(|line| line.strip_prefix("#define ")) {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            assert_eq!(seen.insert(name.to_owned(), value.trim().to_owned()), None, "{name}");
        }
        // Against the numbers of the standards, and of the UID's text, written here by hand.
        for (name, value) in [
            ("LH_UID_0", "0xbd814a7fU"),
            ("LH_FEATURES", "0xc6000001U"),
            ("LH_TIMED_OUT", "(-8)"),
            ("LH_EXIT_CRASHED", "5"),
            ("LH_SMCCC_VENDOR_HYP_CALL_UID", "0x8600ff01U"),
            ("LH_FFA_MEM_LEND_32", "0x84000072U"),
            ("LH_FFA_DENIED", "(-6)"),
            ("LH_PSCI_CPU_ON_64", "0xc4000003U"),
            ("LH_FFA_ATTRIBUTES_NORMAL_WB_ISH", "0x2fU"),
        ] {
            assert_eq!(seen.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert!(header.lines().all(|line| line.len() <= LINE), "a line is too long");
    }

    #[test]
    fn ids_and_values_are_used_once() {
        let mut ids: Vec<u32> = vendor::CALLS.iter().map(|call| call.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), vendor::CALLS.len());
        for table in TABLES {
            let values: BTreeMap<i64, &str> = table.constants.iter().map(|one| (one.value, one.name)).collect();
            assert_eq!(values.len(), table.constants.len(), "{}", table.title);
        }
    }

    #[test]
    fn the_uid_is_that_of_its_text() {
        // 7f4a81bd-c6b2-4930-9db8-0b6796094305: DEN0028 6.2 takes the bytes in order, little-endian in each word.
        let bytes = [
            0x7f, 0x4a, 0x81, 0xbd, 0xc6, 0xb2, 0x49, 0x30, 0x9d, 0xb8, 0x0b, 0x67, 0x96, 0x09, 0x43, 0x05,
        ];
        for (word, bytes) in vendor::UID.iter().zip(bytes.chunks(4)) {
            assert_eq!(word.to_le_bytes(), bytes);
        }
    }
}
