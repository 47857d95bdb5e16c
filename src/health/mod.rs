//! Requests of the proxy's own: probes of each backend of both colours, all the time, and the warm-up before a switch.
//!
//! Owns how a probe is made and judged. What its result means for traffic is the backend's own arithmetic
//! ([`crate::service::Backend::observe`]); the gate of a switch makes fresh probes with the same [`probe()`].

mod monitor;
mod probe;
mod request;
mod warm_up;

pub use monitor::Monitor;
pub use probe::probe;
pub use warm_up::{WarmUp, ask};
