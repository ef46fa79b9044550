//! Which abort a touch of lent memory is answered with.

use crate::args;

/// How an access was made, as far as a board's policy tells accesses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// From EL0.
    El0,
    /// From EL1 at an address of the lower half.
    User,
    /// From EL1 at an address of the upper half.
    Kernel,
    /// A stage-1 walk.
    Walk,
    /// An instruction fetch from EL1.
    Fetch,
    /// Cache maintenance.
    Cache,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 6] = [
        Class::El0,
        Class::User,
        Class::Kernel,
        Class::Walk,
        Class::Fetch,
        Class::Cache,
    ];

    /// The name in `expect=`.
    pub const fn name(self) -> &'static str {
        match self {
            Class::El0 => "el0",
            Class::User => "user",
            Class::Kernel => "kernel",
            Class::Walk => "walk",
            Class::Fetch => "fetch",
            Class::Cache => "cache",
        }
    }
}

/// The fault status code for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected([u64; 6]);

/// Synchronous external abort.
const EXTERNAL: u64 = 0x10;
/// Alignment fault.
const ALIGNMENT: u64 = 0x21;

impl Expected {
    /// The policy of QEMU's board, and what the command line says otherwise:
    /// `expect=el0:0x10,kernel:0x21`, or `expect=0x10` for all of them.
    pub fn of(line: &str) -> Expected {
        let mut codes = [ALIGNMENT; 6];
        codes[Class::El0 as usize] = EXTERNAL;
        for word in args::value(line, "expect").unwrap_or("").split(',') {
            match word.split_once(':') {
                Some((name, code)) => {
                    let class = Class::ALL.iter().find(|c| c.name() == name);
                    if let (Some(class), Some(code)) = (class, args::number(code)) {
                        codes[*class as usize] = code;
                    }
                }
                None => {
                    if let Some(code) = args::number(word) {
                        codes = [code; 6];
                    }
                }
            }
        }
        Expected(codes)
    }

    /// The fault status code for `class`.
    pub const fn code(&self, class: Class) -> u64 {
        self.0[class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_s_policy_is_the_default() {
        let expected = Expected::of("scenario=fault-classes");
        assert_eq!(expected.code(Class::El0), 0x10);
        assert_eq!(expected.code(Class::Walk), 0x21);
    }

    #[test]
    fn the_command_line_overrides_it() {
        let expected = Expected::of("expect=el0:0x7,fetch:16,nobody:1");
        assert_eq!(expected.code(Class::El0), 7);
        assert_eq!(expected.code(Class::Fetch), 16);
        assert_eq!(expected.code(Class::User), 0x21);
        assert_eq!(Expected::of("expect=0x10").code(Class::Cache), 0x10);
    }
}
