//! A serving thread: a current-thread runtime that owns everything of the connections it has accepted.
//!
//! Owns the threads, their orders, what they share, and the tables of what is live. By these the sweep bounds every connection
//! and exchange in time, without a timer for each. Knows neither TLS nor HTTP: an accepted socket is handed
//! to an [`Entrance`], which the daemon chooses. A worker shares nothing mutable with the others but atomics. Where sockets
//! come from: [`crate::listen`]; what is served on them: `http`.

mod dates;
mod live;
mod live_exchange;
mod order;
mod review;
mod run;
mod shared;
mod state;
mod threads;
mod warm_up;

pub use live::{
    AbortableStream, Census, CensusQuery, Connection, ConnectionOrder, ConnectionState, ExchangeKind, ExchangeState,
    KindCount,
};
pub use live_exchange::LiveExchange;
pub use order::Orders;
pub use run::{Arrival, Entrance};
pub use shared::SharedState;
pub use state::Worker;
pub use threads::Workers;
pub use warm_up::WarmUp;
