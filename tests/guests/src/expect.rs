//! Which abort a touch of lent memory is answered with.

use crate::args;
use core::fmt;

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

/// What a touch is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An abort with this fault status code.
    Code(u64),
    /// The stage-2 fault itself, marked: a translation fault of any level, with S1PTW (bit 7 of the ESR).
    Tagged,
}

impl Answer {
    /// Whether an abort with this syndrome is the answer.
    pub const fn is(self, esr: u64) -> bool {
        let code = esr & 0x3f;
        match self {
            Answer::Code(wanted) => code == wanted,
            Answer::Tagged => code >> 2 == 1 && esr >> 7 & 1 == 1,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Code(code) => write!(f, "FSC {code:#x}"),
            Answer::Tagged => f.write_str("FSC 0x4 to 0x7 with S1PTW"),
        }
    }
}

/// The answer for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected([Answer; 6]);

/// Synchronous external abort.
const EXTERNAL: u64 = 0x10;
/// Translation fault, level 3.
const TRANSLATION: u64 = 0x07;
/// Alignment fault.
const ALIGNMENT: u64 = 0x21;

impl Expected {
    /// The policy `bring-up`, which refuses every access, and what the command line says otherwise:
    /// `expect=el0:0x10,kernel:tagged`, or `expect=0x10` for all of them.
    pub fn of(line: &str) -> Expected {
        let mut answers = [Answer::Code(ALIGNMENT); 6];
        answers[Class::El0 as usize] = Answer::Code(EXTERNAL);
        for word in args::value(line, "expect").unwrap_or("").split(',') {
            match word.split_once(':') {
                Some((name, code)) => {
                    let class = Class::ALL.iter().find(|c| c.name() == name);
                    if let (Some(class), Some(answer)) = (class, answer(code)) {
                        answers[*class as usize] = answer;
                    }
                }
                None => {
                    if let Some(answer) = answer(word) {
                        answers = [answer; 6];
                    }
                }
            }
        }
        Expected(answers)
    }

    /// The answer for `class`.
    pub const fn answer(&self, class: Class) -> Answer {
        self.0[class as usize]
    }

    /// The fault status code for `class`; of the marked fault the one of level 3.
    pub const fn code(&self, class: Class) -> u64 {
        match self.answer(class) {
            Answer::Code(code) => code,
            Answer::Tagged => TRANSLATION,
        }
    }
}

fn answer(word: &str) -> Option<Answer> {
    match word {
        "tagged" => Some(Answer::Tagged),
        _ => args::number(word).map(Answer::Code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bring_up_is_the_default() {
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
        let expected = Expected::of("expect=user:tagged");
        assert_eq!(expected.answer(Class::User), Answer::Tagged);
        assert_eq!(expected.answer(Class::Kernel), Answer::Code(0x21));
    }

    #[test]
    fn a_marked_fault_is_one_of_translation() {
        assert!(Answer::Tagged.is(0x93c0_8086));
        assert!(!Answer::Tagged.is(0x93c0_8006));
        assert!(!Answer::Tagged.is(0x9600_0090));
        assert!(Answer::Code(0x10).is(0x9600_0010));
    }
}
