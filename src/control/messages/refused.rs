//! Why an operation was not done.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use crate::types::{Color, show_duration};

/// Why it was not done. Nothing has changed, except with [`Self::StuckAtStep`] and [`Self::ShuttingDownAtStep`], and by what others
/// did meanwhile.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OperationRefused {
    #[error("no service is called {name:?}; there is {known}")]
    NoSuchService { name: String, known: String },
    #[error("service {service:?} has one pool (`backends`): there is nothing to switch; give it `blue` and `green`")]
    NotColored { service: String },
    #[error("service {service:?} has not been switched yet: there is no colour to go back to")]
    NoPrevious { service: String },
    #[error("service {service:?}: {color} serves already; a canary is of the other colour, {}", color.other())]
    ServesAlready { service: String, color: Color },
    #[error("service {service:?} is being switched by {holder} for {seconds} s; wait for it to end")]
    Conflict { service: String, holder: Actor, seconds: u64 },
    #[error("service {service:?} is at generation {present}, not {asked}: someone has changed it meanwhile")]
    Generation { service: String, present: u64, asked: u64 },
    #[error(
        "service {service:?}: someone has moved the traffic meanwhile (generation {present}); see `edgectl history`"
    )]
    Overtaken { service: String, present: u64 },
    #[error(
        "service {service:?}: the watch has taken the traffic back already (generation {present}), {color} serves; a rollback \
         would undo that, `edgectl switch {} {service}` does it all the same", color.other()
    )]
    TakenBack { service: String, color: Color, present: u64 },
    #[error(
        "service {service:?}: {color} was rolled back from, at {at}; `edgectl history {service}` has what happened. Deploy to it and switch, or pass --anyway"
    )]
    RolledBackFrom { service: String, color: Color, at: httpdate::HttpDate },
    #[error(transparent)]
    Gate(#[from] GateRefused),
    #[error("service {service:?} was taken out of the config meanwhile, or made another; nothing was changed")]
    Replaced { service: String },
    #[error("the new state could not be written, so nothing was changed: {error}; is the disk of state_dir full?")]
    NotDurable { error: String },
    /// A rollout that could not leave its step.
    #[error(
        "service {service:?}: {percent} % of the clients stay on {color}, because the new state could not be written: \
         {error}; is the disk of state_dir full? `edgectl switch {color} {service}` goes on, `edgectl canary off {service}` goes back"
    )]
    StuckAtStep { service: String, color: Color, percent: u8, error: String },
    /// Nothing has changed.
    #[error("the daemon is shutting down: nothing was changed")]
    ShuttingDown,
    #[error(
        "service {service:?}: the daemon is shutting down: {percent} % of the clients stay on {color}; `edgectl \
         switch {color} {service}` goes on after its next start, `edgectl canary off {service}` goes back"
    )]
    ShuttingDownAtStep { service: String, color: Color, percent: u8 },
}

/// The gate was not passed in time; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRefused {
    pub service: String,
    pub color: Color,
    pub ready: usize,
    pub needed: usize,
    pub of: usize,
    pub waited: Duration,
    pub unready: Vec<UnreadyBackend>,
    /// Whether the command that asked has a `--force`.
    pub forceable: bool,
}

/// One backend that kept the gate shut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadyBackend {
    /// As configured, and the address where there is one.
    pub backend: String,
    /// `got 503`, `connection refused`, `name "app-green" does not resolve`.
    pub why: String,
}

impl fmt::Display for GateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, color, ready, needed, of, waited, unready, forceable } = self;
        write!(f, "service {service:?}: {color} has {ready} of {of} backends ready after {}", show_duration(*waited))?;
        if needed < of {
            write!(f, " ({needed} needed)")?;
        }
        for one in unready {
            write!(f, "; {}: {}", one.backend, one.why)?;
        }
        f.write_str(if *forceable { "; see its log, or pass --force" } else { "; see its log" })
    }
}

impl std::error::Error for GateRefused {}
