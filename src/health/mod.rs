//! Requests of the proxy's own: probes of each backend of both colours, all the time; and questions for a path of the app.
//!
//! Owns how a probe is made and judged. What its result means for traffic is the backend's own arithmetic
//! ([`crate::service::Backend::observe`]); the gate of a switch makes fresh probes with the same [`probe()`].

mod ask;
mod monitor;
mod probe;
mod request;

pub use ask::{ask, ask_on};
pub use monitor::Monitor;
pub use probe::probe;
