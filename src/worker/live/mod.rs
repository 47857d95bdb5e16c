//! What is live on a worker, as the sweep and a census see it: connections, exchanges, the streams that carry them.
//!
//! Every bound in time is kept here: a deadline is noted and the sweep checks it; no timer is armed. Does not know in which
//! table it is, and never touches a socket.

mod census;
mod connection;
mod exchange;
mod stream_abort;
mod waker_slot;

pub use census::{Census, CensusQuery, KindCount};
pub use connection::{Connection, ConnectionOrder, ConnectionState};
pub use exchange::{ExchangeKind, ExchangeState};
pub use stream_abort::AbortableStream;
