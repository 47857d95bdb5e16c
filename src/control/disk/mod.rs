//! What control keeps in `state_dir`: which colour serves (`state.json`), and the record of every operation (`history.jsonl`).
//!
//! Everything here blocks on the disk. Nothing here decides: the state is written before it is published by
//! [`super::StateWriter`], records are written by the operations.

mod history;
mod journal;
mod record;
mod state_file;

pub use history::History;
pub use record::{HistoryAction, HistoryRecord, HistoryResult};
pub use state_file::{Recovered, StateFile};
