//! What happens to new requests without moving them: a pause holds them, maintenance answers 503, preview links let one in.
//!
//! None of it needs a hold of the gate: each is one change of what serves, and a switch that runs meanwhile keeps it. Holding
//! and answering themselves are done where requests are, in [`crate::service`] and [`crate::http`].

mod change;
mod maintenance;
mod pause;
mod preview;
