//! Finds the boards: the folders beside this one with a `src/board.rs`.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let boards = here.parent().expect("this is a folder of boards/");
    let mut found = Vec::new();
    for entry in fs::read_dir(boards).expect("boards/ can be read") {
        let folder = entry.expect("boards/ can be read").path();
        let source = folder.join("src/board.rs");
        if source.is_file() {
            let name = folder.file_name().expect("a folder has a name").to_string_lossy();
            found.push((name.into_owned(), source));
        }
    }
    found.sort();
    let mut code = String::new();
    let mut all = String::new();
    for (name, source) in found {
        let module = format!("board_{}", name.replace('-', "_"));
        let _ = writeln!(code, "#[path = {source:?}]\nmod {module};");
        let _ = write!(all, "&{module}::BOARD, ");
    }
    let _ = writeln!(code, "pub const ALL: &[&crate::Description] = &[{all}];");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("boards.rs"), code).expect("the list is written");
    println!("cargo::rerun-if-changed={}", boards.display());
}
