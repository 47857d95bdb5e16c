//! The way to the backends: connections made by pingora's connector, spoken on by hyper's client, pooled per core.
//!
//! Owns connecting and reuse. Knows nothing of sites or limits, and never decides to try again: [`crate::http`] does, from
//! what [`SendError`] says about whether the request may have been processed.

mod connect;
mod outgoing;
mod pool;

pub use connect::ConnectError;
pub use outgoing::{BoxError, Outgoing};
pub use pool::{Lease, SendError, Upstreams};
