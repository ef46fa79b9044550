//! Whether the digital twin is true: what EL2 logs until its host starts is, on QEMU, what the twin of the board has logged
//! on the build machine (`tests/twin/golden`), word for word. Addresses and sizes differ: the image is larger here than
//! there, and QEMU puts things elsewhere than the twin's loader.

use super::{Context, HOST_DEMO, Needs, Scenario, Verdict, steps};
use crate::machine::Gic;
use crate::report::Source;
use leasehold_flash::stream::Level;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../twin/golden");
/// The last line of the boot.
const LAST: &str = "host starts at ";
/// What the tests' hosts ask for, and the twin's does not.
const ASKED_FOR: &str = "fault policy from boot arguments: ";

pub(super) fn scenarios() -> Vec<Scenario> {
    [("qemu-virt", Gic::V3), ("qemu-virt-gicv2", Gic::V2)]
        .map(|(twin, gic)| {
            Scenario::new(format!("twin/{twin}"), Needs::Board, move |context| {
                says_the_same(context, twin, gic)
            })
        })
        .into()
}

fn says_the_same(context: &Context<'_>, twin: &str, gic: Gic) -> Verdict {
    let golden = std::fs::read_to_string(format!("{GOLDEN}/{twin}/log.txt"))?;
    let expected: Vec<_> = golden.lines().map(without_numbers).collect();
    let outcome = steps(&context.demo_on("release")?.gic(gic), &HOST_DEMO)?;
    let mut said = Vec::new();
    for log in outcome.of(Source::El2).filter_map(|line| line.log.as_ref()) {
        let Some(level) = log.level.filter(|level| *level >= Level::Info) else {
            continue;
        };
        if !log.message.starts_with(ASKED_FOR) {
            let level = level.name().to_uppercase();
            said.push(without_numbers(&format!("{level:<5} {}", log.message)));
        }
        if log.message.starts_with(LAST) {
            break;
        }
    }
    if said == expected {
        Ok(())
    } else {
        Err(format!("QEMU: {said:#?}\nthe twin: {expected:#?}\n{}", outcome.report()).into())
    }
}

/// A line with a mark for each number: what begins with a digit, as far as it could be hexadecimal.
fn without_numbers(line: &str) -> String {
    let mut marked = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        // A digit inside of a word, as in `EL2`, is the word's.
        let word = before.ends_with(|c: char| c.is_ascii_alphabetic());
        let len = number
            .find(|c: char| !(c.is_ascii_hexdigit() || c == 'x'))
            .unwrap_or(number.len());
        marked += before;
        marked += if word { &number[..len] } else { "#" };
        rest = &number[len..];
    }
    marked + rest
}

#[cfg(test)]
mod tests {
    use super::without_numbers;

    #[test]
    fn words_stay_and_numbers_go() {
        assert_eq!(
            without_numbers("INFO  Leasehold 0.1.0 for qemu-virt, EL2: 1016 MiB at 0x40ab_0000 on CPU 0"),
            "INFO  Leasehold #.#.# for qemu-virt, EL2: # MiB at #_# on CPU #"
        );
    }
}
