//! The shape of the tables that documentation and the C header are generated from.

/// One hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The name, as in `LH_NAME`.
    pub name: &'static str,
    /// The SMCCC function id.
    pub id: u32,
    /// What `x1`, `x2`, … carry.
    pub args: &'static [&'static str],
    /// What `x1`, `x2`, … carry on success (`x0` is the status).
    pub returns: &'static [&'static str],
    /// What it does.
    pub doc: &'static str,
}

/// One named number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The name, as in `LH_NAME`.
    pub name: &'static str,
    /// The value.
    pub value: i64,
    /// What it means.
    pub doc: &'static str,
}

/// Defines constants and the table of them in one go.
macro_rules! constants {
    (
        $(#[$table_doc:meta])*
        $table:ident: $ty:ty;
        $( $(#[doc = $doc:literal])+ $name:ident = $value:expr; )+
    ) => {
        $( $(#[doc = $doc])+ pub const $name: $ty = $value; )+

        $(#[$table_doc])*
        pub const $table: &[$crate::table::Constant] = &[
            $( $crate::table::Constant {
                name: stringify!($name),
                value: $name as i64,
                doc: concat!($($doc),+),
            }, )+
        ];
    };
}

/// Defines calls and the table of them in one go.
macro_rules! calls {
    (
        $(#[$table_doc:meta])*
        $table:ident;
        $( $(#[doc = $doc:literal])+ $name:ident = $id:literal ( $($arg:literal),* ) -> ( $($ret:literal),* ); )+
    ) => {
        $( $(#[doc = $doc])+ pub const $name: u32 = $id; )+

        $(#[$table_doc])*
        pub const $table: &[$crate::table::Call] = &[
            $( $crate::table::Call {
                name: stringify!($name),
                id: $id,
                args: &[$($arg),*],
                returns: &[$($ret),*],
                doc: concat!($($doc),+),
            }, )+
        ];
    };
}

pub(crate) use {calls, constants};
