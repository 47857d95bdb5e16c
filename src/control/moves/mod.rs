//! Moves of the traffic, decided purely: which state serves next (`plan`), and which task may still change it (`ledger`).
//!
//! Both take data and return a decision; they open nothing and read no clock, except for the time a holder is shown to have
//! waited. `model` tries every order of a few operations' steps against this same code (decision 0005).

mod ledger;
#[cfg(test)]
mod model;
pub mod plan;

pub use ledger::{LedgerEntry, TrafficLedger};
