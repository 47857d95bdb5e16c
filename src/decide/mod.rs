//! What happens to a request: a pure decision over its head, the snapshot and where it came from.
//!
//! Opens no socket, reads no clock, changes nothing; `http` acts on it. Rate limits are taken there, after
//! this has let a request pass, so that a refused request costs its sender nothing of the zone.

mod client;
mod host;
mod location;
mod peer;
mod verdict;

pub use client::Client;
pub use host::{Host, host_of};
pub use peer::Peer;
pub use verdict::{Decision, RequestVerdict, decide};
