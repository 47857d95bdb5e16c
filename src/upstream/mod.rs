//! The way to the backends: pingora's connector makes the connections, hyper's client speaks on them, each worker pools its own.
//!
//! Owns connecting and reuse. Knows nothing of sites or limits, and never decides to try again: that is decided in `http`, by
//! what [`SendError`] says about whether the request may have been processed.

mod connect;
mod counted;
mod early_answer;
mod outgoing;
mod pool;

pub use connect::{ConnectError, LocalExecutor};
pub use outgoing::{BoxError, Outgoing};
pub use pool::{Lease, SendError, Upstreams};
