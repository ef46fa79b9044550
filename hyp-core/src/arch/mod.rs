//! What only one architecture has.
