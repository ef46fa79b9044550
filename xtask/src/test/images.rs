//! Every board's image, built and looked at. What boots is for the scenarios.

use super::count::Counter;
use crate::build::{self, Image, Profile};
use crate::porting;
use crate::setup::toolchain::Toolchain;
use anyhow::{Result, ensure};
use leasehold_boards::Description;

/// The programs that use drivers without the hypervisor. What they do is tested on models.
const EXAMPLES: [&str; 2] = ["blinky-db410c", "blinky-rb3gen2"];

/// Builds what `filter` names of the boards' images, the programs without the hypervisor, and the example of
/// `docs/porting.md`, a test each. One profile will do: that the core works in the other is for the board of the scenarios.
pub(super) fn test(toolchain: &Toolchain, filter: Option<&str>, counter: &mut Counter) {
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    for board in leasehold_boards::all() {
        let name = format!("boards::{}_is_linked_in_memory_that_is_free", board.name);
        if wanted(&name) {
            let image = build::board(toolchain, board.name, Profile::Dev, &[]);
            counter.judge(&name, image.and_then(|image| is_in_place(board, &image)));
        }
    }
    for example in EXAMPLES {
        let name = format!("examples::{example}_builds");
        if wanted(&name) {
            counter.judge(&name, build::example(toolchain, example).map(drop));
        }
    }
    let name = "boards::the_example_of_the_document_builds";
    if wanted(name) {
        counter.judge(name, porting::build_example(toolchain).map(drop));
    }
}

/// Whether the image is where its description says, and takes nobody's memory.
fn is_in_place(board: &Description, image: &Image) -> Result<()> {
    let (start, end) = (image.base, image.base + image.memory);
    ensure!(
        start == board.load_address() && image.entry == start,
        "it is at {start:#x}, and entered at {:#x}",
        image.entry
    );
    for reserved in board.reserved {
        let (from, len) = (reserved.range.start().as_u64(), reserved.range.len());
        ensure!(from >= end || start >= from + len, "{} is reserved", reserved.node);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(base: u64, memory: u64) -> Image {
        Image {
            elf: "x.elf".into(),
            image: "x.bin".into(),
            base,
            entry: base,
            bytes: memory,
            memory,
            sections: vec![],
        }
    }

    #[test]
    fn an_image_elsewhere_or_in_reserved_memory_is_found() {
        let board = leasehold_boards::find("rb3gen2").unwrap();
        let start = board.load_address();
        is_in_place(board, &image(start, 2 << 20)).unwrap();
        assert!(is_in_place(board, &image(start + 4096, 2 << 20)).is_err());
        // TrustZone's from 3 GiB on.
        let error = is_in_place(board, &image(start, 0xc000_1000 - start)).unwrap_err();
        assert!(error.to_string().contains("tz-stat"), "{error}");
    }
}
