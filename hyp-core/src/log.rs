//! defmt's macros where there is a channel for them, nothing where there is none (tests on the build machine).

#[rustfmt::skip]
macro_rules! level {
    ($d:tt $level:ident $name:ident) => {
        macro_rules! $name {
            ($d($d arg:expr),* $d(,)?) => {{
                #[cfg(feature = "defmt")]
                ::defmt::$level!($d($d arg),*);
                #[cfg(not(feature = "defmt"))]
                { let _ = ($d(&$d arg),*); }
            }};
        }
        #[allow(unused_imports, unused_macros, reason = "not every level has a caller in every configuration")]
        pub(crate) use $name as $level;
    };
}

level!($ error log_error);
level!($ warn log_warn);
level!($ info log_info);
level!($ debug log_debug);
level!($ trace log_trace);
