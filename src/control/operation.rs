//! What is asked of a service and what is answered: the words of the admin API, made here so that both ends share them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::gate::GateRefused;
use super::history::Actor;
use crate::types::Color;

/// One switch or rollback as asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub service: String,
    pub goal: Goal,
    pub actor: Actor,
    pub reason: Option<String>,
    /// For the gate; else the service's `switch.timeout`.
    pub timeout: Option<Duration>,
    /// Else the service's `switch.drain`.
    pub drain: Option<Duration>,
    /// Skips the gate.
    pub force: bool,
    /// Whether to answer only when the old colour has drained.
    pub wait: bool,
    /// Refused unless this is the present generation.
    pub if_generation: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    To(Color),
    /// Back to what served before.
    Previous,
    /// Pass the gate and change nothing.
    GateOnly(Color),
}

/// One step of a running operation, as it happens; NDJSON on the admin socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    GateStarted {
        service: String,
        color: Color,
        timeout_ms: u64,
    },
    /// One fresh probe of one backend.
    Probed {
        backend: String,
        passes: u32,
        of: u32,
        outcome: String,
    },
    GatePassed {
        took_ms: u64,
    },
    /// Durable, published: every request that starts from here on sees it.
    Flipped {
        from: Color,
        to: Color,
        generation: u64,
        took_us: u64,
    },
    Draining {
        color: Color,
        in_flight: usize,
        deadline_ms: u64,
    },
    Drained(DrainReport),
}

/// How an old colour emptied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainReport {
    pub color: Color,
    pub took_ms: u64,
    /// In flight when the drain began.
    pub began_with: usize,
    /// Closed after the deadline.
    pub cut: usize,
    /// A switch back ended the drain: nothing was cut from then on.
    pub cancelled: bool,
}

/// A switch that was done, or that had nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    pub service: String,
    /// `switched`, `forced`, `unchanged` (that colour serves already), or `ready` (the gate alone was asked for).
    pub result: String,
    pub from: Color,
    pub to: Color,
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainReport>,
}

/// Why nothing has changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    #[error("no service is called {name:?}; there is {known}")]
    NoSuchService { name: String, known: String },
    #[error("service {service:?} has one pool (`backends`): there is nothing to switch; give it `blue` and `green`")]
    NotColored { service: String },
    #[error("service {service:?} has not been switched yet: there is no colour to go back to")]
    NoPrevious { service: String },
    #[error("service {service:?} is being switched by {holder} for {seconds} s; wait for it to end")]
    Conflict { service: String, holder: Actor, seconds: u64 },
    #[error("service {service:?} is at generation {present}, not {asked}: someone has switched it meanwhile")]
    Generation { service: String, present: u64, asked: u64 },
    #[error(transparent)]
    Gate(#[from] GateRefused),
    #[error("the new state could not be written, so nothing was switched: {error}; is the disk of state_dir full?")]
    NotDurable { error: String },
    #[error("the daemon is shutting down")]
    ShuttingDown,
}

impl Refused {
    /// Stable; `code` of the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchService { .. } => "no_such_service",
            Self::NotColored { .. } => "not_colored",
            Self::NoPrevious { .. } => "no_previous",
            Self::Conflict { .. } => "conflict",
            Self::Generation { .. } => "generation_conflict",
            Self::Gate(_) => "gate_not_passed",
            Self::NotDurable { .. } => "not_durable",
            Self::ShuttingDown => "shutting_down",
        }
    }
}
