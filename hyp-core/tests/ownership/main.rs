//! Ownership and stage 2, on a machine that acts as badly as the architecture lets it, against a model that says what
//! each call must do.

mod cache;
mod machine;
mod model;
mod walker;
mod world;

mod exhaustive;
mod lifecycle;
mod properties;
