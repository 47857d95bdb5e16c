//! The data path: one connection at a time through a codec, one exchange at a time through receive, decide, limit, then
//! forward or answer, and record.
//!
//! Runs on a worker and shares nothing mutable with the others but atomics. Its rooms, lowest first: [`visit`] (what clients
//! bring back), [`connection`] (the codec), [`exchange`] (the record), [`answer`] (our own answers), [`tunnel`] (after a
//! 101), [`forward`] (to the backend and back). What is done is decided in [`crate::decide`].

mod answer;
mod connection;
mod entrance;
mod exchange;
mod forward;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handle;
mod tunnel;
mod visit;

pub use entrance::HttpEntrance;
