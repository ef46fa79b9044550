//! The build script of every board's package.

fn main() {
    leasehold_boards::link();
}
