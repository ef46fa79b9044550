//! defmt's macros where there is a channel for them, nothing where there is none (tests on the build machine).
//!
//! What the build has (`DEFMT_LOG`) is narrowed at run time by [`set_level`]: a line that is off costs one load.

use core::sync::atomic::{AtomicU8, Ordering};

/// The levels, most important first.
#[allow(dead_code, reason = "only a booted machine sets levels")]
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

static LEVEL: AtomicU8 = AtomicU8::new(2);

/// Lets lines of `name`'s level and of those before it in [`LEVELS`] through. `false` for a name that is none of them.
#[allow(dead_code, reason = "only a booted machine sets levels")]
pub fn set_level(name: &str) -> bool {
    let level = LEVELS.iter().position(|level| *level == name);
    if let Some(level) = level {
        LEVEL.store(level as u8, Ordering::Relaxed);
    }
    level.is_some()
}

/// As it is shown to people: only a booted machine's log has values.
#[cfg(not(feature = "defmt"))]
pub(crate) struct Shown<'a, T>(#[allow(dead_code, reason = "without defmt nobody reads it")] pub &'a T);
#[cfg(feature = "defmt")]
pub(crate) use defmt::Display2Format as Shown;

/// Whether lines of level number `level` go through.
#[allow(dead_code, reason = "without defmt nobody asks")]
#[inline(always)]
pub(crate) fn is_on(level: u8) -> bool {
    level <= LEVEL.load(Ordering::Relaxed)
}

#[rustfmt::skip]
macro_rules! level {
    ($d:tt $number:literal $level:ident $name:ident) => {
        #[collapse_debuginfo(yes)]
        #[allow(unused_macros, reason = "not every level has a caller in every configuration")]
        macro_rules! $name {
            ($d($d arg:expr),* $d(,)?) => {{
                #[cfg(feature = "defmt")]
                if crate::log::is_on($number) {
                    ::defmt::$level!($d($d arg),*);
                }
                #[cfg(not(feature = "defmt"))]
                { let _ = ($d(&$d arg),*); }
            }};
        }
        #[allow(unused_imports, reason = "not every level has a caller in every configuration")]
        pub(crate) use $name as $level;
    };
}

level!($ 0 error log_error);
level!($ 1 warn log_warn);
level!($ 2 info log_info);
level!($ 3 debug log_debug);
level!($ 4 trace log_trace);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_an_order() {
        assert!(is_on(0) && is_on(2) && !is_on(3));
        assert!(set_level("error"));
        assert!(is_on(0) && !is_on(1));
        assert!(!set_level("loud"));
        assert!(is_on(0) && !is_on(1));
        assert!(set_level("info"));
    }
}
