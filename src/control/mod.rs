//! Switching: what an operator asks for, what guards it, and the one place that publishes.
//!
//! Owns the state file, the history and the ledger of each service. Never touches a client's request: it stores a new
//! [`crate::service::Active`] and waits until the old pool is empty. [`crate::admin`] calls it.
//!
//! The rooms, lowest first; each imports only from those before it: `messages` (what is asked and answered), `disk` (what is
//! kept in `state_dir`), `moves` (pure: what serves next, and which task may change it), `gate` (probes and warm-up before a
//! flip), `plane` (what all operations share, and the operation itself), `drain`, `watch` (judging a colour after a flip),
//! `switch` (what moves traffic), `admit` (what holds requests or answers them instead), `failover` and `restart` (what
//! happens unasked), `operator` (which operation a request starts).

mod admit;
mod disk;
mod drain;
mod failover;
mod gate;
mod messages;
mod moves;
mod operator;
mod plane;
mod restart;
mod switch;
mod watch;

pub use disk::{History, HistoryAction, HistoryRecord, HistoryResult, Recovered, StateFile};
pub use messages::{
    Actor, DrainReport, GateRefused, Goal, OperationDone, OperationEvent, OperationOptions, OperationRefused,
    OperationRequest, OperationResult, UnreadyBackend, VerdictKind, WatchVerdict, user_name,
};
pub use operator::{Operator, OperatorHandle};
pub use plane::StateWriter;
