//! What is asked of a service and what is answered: the words of the admin API, made here so that both ends share them.

use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::gate::GateRefused;
use super::history::Actor;
use super::writer::NotDurable;
use crate::types::Color;

/// One operation as asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub service: String,
    pub goal: Goal,
    pub actor: Actor,
    pub reason: Option<String>,
    /// Refused unless this is the present generation.
    pub if_generation: Option<u64>,
    pub options: Options,
}

/// How a switch is to go about it; `None` and empty: as the service's `switch` says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// For the gate; for a pause, until nothing is left in flight.
    pub timeout: Option<Duration>,
    pub drain: Option<Duration>,
    pub watch: Option<Duration>,
    /// Shares of a canary before the flip, in per cent.
    pub steps: Vec<u8>,
    /// How long each step is watched.
    pub step_time: Option<Duration>,
    /// Skips the gate.
    pub force: bool,
    /// Whether to answer only when the watch has ended and the old colour has drained.
    pub wait: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    To(Color),
    /// Back to what served before; while there is a canary, back to none.
    Previous,
    /// Pass the gate and change nothing.
    GateOnly(Color),
    Canary {
        color: Color,
        percent: u8,
    },
    CanaryOff,
    /// Each request is held this long at most.
    Pause {
        max: Duration,
    },
    Resume,
    MaintenanceOn {
        message: Option<String>,
        allow: Vec<IpNet>,
    },
    MaintenanceOff,
    /// Preview links of this colour are valid until then.
    Preview {
        color: Color,
        until: SystemTime,
    },
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
    /// Every warm-up path was answered by every backend that passed; each core has a connection to each of them.
    WarmedUp {
        requests: usize,
        took_ms: u64,
    },
    /// A share of the clients goes to the new colour.
    Canary {
        color: Color,
        percent: u8,
        generation: u64,
    },
    /// Durable, published: every request that starts from here on sees it.
    Flipped {
        from: Color,
        to: Color,
        generation: u64,
        took_us: u64,
    },
    Watching {
        color: Color,
        for_ms: u64,
    },
    Watched(Verdict),
    Draining {
        color: Color,
        in_flight: usize,
        deadline_ms: u64,
    },
    Drained(DrainReport),
    /// New requests are held; these are still in flight.
    Pausing {
        in_flight: usize,
    },
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

/// What a watch has seen, and what it thinks of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub color: Color,
    /// The one that was watched.
    #[serde(default)]
    pub generation: u64,
    pub verdict: Word,
    /// Answers of the colour during the watch, those to warm-up paths and those that had not come among them.
    pub requests: u64,
    /// Of these: 5xx, failed connects, timeouts, and what had not come.
    pub failed: u64,
    /// Of these: not answered for half of the watch, nor for as long as the old colour's slowest answer took.
    #[serde(default)]
    pub unanswered: u64,
    pub max_error_rate: f64,
    pub min_requests: u64,
    /// Until the answer's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// The old colour's, before the flip.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_p95_ms: Option<f64>,
    pub watched_ms: u64,
    /// One sentence, with the numbers.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    Passed,
    /// Too few requests to tell; the colour is kept.
    Inconclusive,
    /// Out of bounds: the traffic is where it was before.
    RolledBack,
    /// Out of bounds, and the traffic could not go back.
    Failed,
    /// Someone moved the traffic before there was a verdict.
    Ended,
}

/// An operation that was done, or that had nothing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub service: String,
    /// `switched`, `forced`, `inconclusive` (kept, but too few requests to judge), `rolled-back`, `unchanged` (it was so
    /// already), `ready` (the gate alone was asked for), `canary`, `canary-off`, `paused`, `resumed`, `maintenance-on`,
    /// `maintenance-off`, `preview`.
    pub result: String,
    /// What served before.
    pub from: Color,
    /// What was asked for.
    pub to: Color,
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The canary's share, also of one that goes on beside what is `unchanged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Still in flight although the service is paused; tunnels aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<usize>,
}

/// Why it was not done. Nothing has changed, but for [`Refused::StuckAtStep`] and what someone else has.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
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
         would undo that, `edgectl switch {}` does it all the same", color.other()
    )]
    TakenBack { service: String, color: Color, present: u64 },
    #[error(transparent)]
    Gate(#[from] GateRefused),
    #[error("service {service:?} was taken out of the config meanwhile, or made another; nothing was changed")]
    Replaced { service: String },
    #[error("the new state could not be written, so nothing was changed: {error}; is the disk of state_dir full?")]
    NotDurable { error: String },
    /// What comes behind a step of a rollout.
    #[error(
        "service {service:?}: {percent} % of the clients stay on {color}, because the new state could not be written: \
         {error}; is the disk of state_dir full? `edgectl switch {color}` goes on, `edgectl canary off` goes back"
    )]
    StuckAtStep { service: String, color: Color, percent: u8, error: String },
    #[error("the daemon is shutting down")]
    ShuttingDown,
}

impl From<NotDurable> for Refused {
    fn from(NotDurable(error): NotDurable) -> Self {
        Self::NotDurable { error: error.to_string() }
    }
}

impl Refused {
    /// Stable; `code` of the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchService { .. } => "no_such_service",
            Self::NotColored { .. } => "not_colored",
            Self::NoPrevious { .. } => "no_previous",
            Self::ServesAlready { .. } => "serves_already",
            Self::Conflict { .. } => "conflict",
            Self::Generation { .. } => "generation_conflict",
            Self::Overtaken { .. } | Self::TakenBack { .. } | Self::Replaced { .. } => "overtaken",
            Self::Gate(_) => "gate_not_passed",
            Self::NotDurable { .. } | Self::StuckAtStep { .. } => "not_durable",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// The word of the history and of `edge_switches_total`.
    pub(super) fn result(&self) -> &'static str {
        match self {
            Self::Conflict { .. }
            | Self::Generation { .. }
            | Self::Overtaken { .. }
            | Self::TakenBack { .. }
            | Self::Replaced { .. } => "conflict",
            Self::Gate(_) | Self::NoPrevious { .. } | Self::ServesAlready { .. } => "refused",
            Self::NoSuchService { .. }
            | Self::NotColored { .. }
            | Self::NotDurable { .. }
            | Self::StuckAtStep { .. }
            | Self::ShuttingDown => "failed",
        }
    }
}

impl Done {
    /// Nothing was done yet, or was to be done.
    pub(super) fn unchanged(service: &str, from: Color, to: Color, generation: u64) -> Self {
        Self {
            service: service.to_owned(),
            result: "unchanged".to_owned(),
            from,
            to,
            generation,
            gate_ms: None,
            flip_us: None,
            drain: None,
            verdict: None,
            percent: None,
            in_flight: None,
        }
    }
}
