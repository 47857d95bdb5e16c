//! What the backends of a colour have to do before they get traffic: pass fresh probes, then answer the warm-up paths.
//!
//! Changes nothing that requests see. Both end by the service's `switch.timeout`, and a refusal names each backend that kept
//! the gate shut. An address counts only if its name has it now. The requests of a warm-up are made by the workers; the probes are [`crate::health`]'s.

mod patience;
mod probing;
mod warm_up;

pub use patience::NamePatience;
pub use probing::Gatekeeper;
pub use warm_up::warm_up;
