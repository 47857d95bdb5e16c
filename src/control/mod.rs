//! Switching: what an operator asks for, what guards it, and the one place that publishes.
//!
//! Owns the state file, the history and the lock of each service. Never touches a client's request: it stores a new
//! [`crate::service::Active`] and watches the old pool empty. Who asks: [`crate::admin`].

mod asking;
mod canary;
mod drain;
mod gate;
mod history;
mod hold;
mod journal;
mod ledger;
#[cfg(test)]
mod model;
mod notes;
mod operation;
mod operator;
mod plan;
mod restart;
mod rollout;
mod state_file;
mod switch;
mod users;
mod verdict;
mod warmup;
mod watch;
mod writer;

pub use gate::{GateRefused, Unready};
pub use history::{Action, Actor, History, Record};
pub use operation::{Done, DrainReport, Event, Goal, Options, Refused, Request, Verdict, Word};
pub use operator::{CoreLinks, Handle, Operator};
pub use state_file::{Recovered, State, StateFile};
pub use users::user_name;
pub use warmup::{Errand, Errands};
pub use writer::Writer;
