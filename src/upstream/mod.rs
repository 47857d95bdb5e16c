//! The way to the backends: pingora's connector makes the connections, hyper's client speaks on them, each worker pools its own.
//!
//! Owns connecting and reuse. Knows nothing of sites or limits, and never decides to try again: that is decided in `http`, by
//! what [`SendError`] says about whether the request may have been processed.

mod connect;
mod counted;
mod early_answer;
mod eyeballs;
mod outgoing;
mod pool;
mod replay;

pub use connect::{ConnectError, LocalExecutor, Speaks};
pub use outgoing::Outgoing;
pub use pool::{Lease, SendError, Upstreams};
pub use replay::{BoxError, ClientBody, Replay};
