//! The data path: one connection at a time through hyper, one exchange at a time through receive, decide, forward or
//! answer, record.
//!
//! Everything here runs on one core's own runtime and shares nothing mutable with the others but atomics. Where connections
//! come from: [`crate::listen`]; what decides: [`crate::decide`]; where requests go: [`crate::upstream`].

mod answer;
mod attempt;
mod census;
mod coalesce;
mod conn;
mod entry;
mod exchange;
mod farewell;
mod forward;
mod handle;
mod live;
mod pick;
mod pipe;
mod refusal;
mod scan;
mod serve;
mod slot;
mod stream;
mod tunnel;
mod upload;
mod visit;
mod worker;
mod ws_frames;

pub use census::{AskCores, Census, Kind, Question, Tally};
pub use conn::Conn;
pub use serve::{ClientStream, serve};
pub use worker::{SWEEP, Shared, Worker};
