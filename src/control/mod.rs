//! Switching: what an operator asks for, what guards it, and the one place that publishes.
//!
//! Owns the state file, the history and the lock of each service. Never touches a client's request: it stores a new
//! [`crate::service::Active`] and watches the old pool empty. Who asks: [`crate::admin`].

mod drain;
mod gate;
mod history;
mod journal;
mod operation;
mod operator;
mod plan;
mod state_file;
mod users;
mod warmup;
mod writer;

pub use gate::{GateRefused, Unready};
pub use history::{Action, Actor, History, Record};
pub use operation::{DrainReport, Event, Goal, Refused, Request, Switched};
pub use operator::{Handle, Operator};
pub use state_file::{Recovered, State, StateFile};
pub use users::user_name;
pub use warmup::{Errand, Errands};
pub use writer::Writer;
