//! What an operator asks for and what is answered: the words of the admin API, defined here so that both ends share them.
//!
//! An [`OperationRequest`] comes in, [`OperationEvent`]s go out while it runs, and it ends as [`OperationDone`] or as
//! [`OperationRefused`]. Results and verdicts are enums; serde turns them into text at the socket and in the history. Nothing
//! here opens a file or looks at the traffic.

mod actor;
mod done;
mod event;
mod figures;
mod refused;
mod request;
mod verdict;

pub use actor::{Actor, user_name};
pub use done::{DrainReport, OperationDone, OperationResult};
pub use event::OperationEvent;
pub use figures::{micros, millis};
pub use refused::{GateRefused, OperationRefused, UnreadyBackend};
pub use request::{Goal, OperationOptions, OperationRequest};
pub use verdict::{VerdictKind, WatchVerdict};
