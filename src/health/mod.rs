//! Requests of the proxy's own: probes of each backend of both colours, all the time; and questions for a path of the app.
//!
//! Owns how a probe is made and judged, and when ([`pace`]). What its result means for traffic is the backend's own arithmetic
//! ([`crate::service::Backend::observe`]); the gate of a switch makes fresh probes with the same [`probe()`].

mod advice;
mod ask;
mod monitor;
mod pace;
mod probe;
mod request;

pub use advice::advice;
pub use ask::{ask, ask_on};
pub use monitor::Monitor;
pub use probe::probe;
