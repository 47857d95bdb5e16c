//! `edgectl top`: the colours of each service side by side, live; switches and rolls back at a key.
//!
//! The inside is pure: `model` is what is known and what a key means, `trail` is what the sparklines show, `view` and `chart` draw
//! them in the inks of `theme`. `live` is the rest: the terminal (`screen`), the keyboard (`keys`), the daemon, and the one loop
//! that brings them together.

mod chart;
mod keys;
mod live;
mod model;
mod screen;
mod theme;
mod trail;
mod view;

#[cfg(test)]
mod tests;

pub use live::Args;
