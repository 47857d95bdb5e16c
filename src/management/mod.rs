//! HTTP for operators and their tools: the server under the admin socket and the metrics port.
//!
//! Owns what no client of it may do: hold a connection without asking, send a head or a body drop by drop, never read an
//! answer, or take the place of all others. Knows no path: those are its router's. What clients of the sites may do is
//! [`crate::http`]'s business.

mod body;
mod closing;
mod places;
mod serve;
mod stall;

pub use closing::Closing;
pub use serve::serve;
