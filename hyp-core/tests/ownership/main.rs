//! Ownership and stage 2, on a machine that acts as badly as the architecture lets it, against a model that says what
//! each call must do.

mod cache;
mod machine;
mod model;
mod setting;
mod walker;
mod world;

mod exhaustion;
mod exhaustive;
mod holders;
mod large;
mod lifecycle;
mod omissions;
mod overlay;
mod properties;
mod refusals;
mod taken;
