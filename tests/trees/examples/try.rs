//! scratch
use leasehold_trees::{Tree, compare};
fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap();
    let soc = match name.as_str() {
        _ => &leasehold_soc::qcs6490::QCS6490,
    };
    for file in args {
        let tree = Tree::read(&std::fs::read(&file).unwrap()).unwrap();
        println!("== {file}");
        for d in compare(soc, &tree) {
            println!("{d}");
        }
    }
}
