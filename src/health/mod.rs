//! Active probes: one task for each backend of both colours, all the time.
//!
//! Owns how a probe is made and judged. What its result means for traffic is the backend's own arithmetic
//! ([`crate::service::Backend::observe`]); the gate of a switch makes fresh probes with the same [`probe()`].

mod monitor;
mod probe;

pub use monitor::Monitor;
pub use probe::probe;
