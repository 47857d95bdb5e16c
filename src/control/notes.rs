//! What the operator writes into the history, and counts.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::gate::millis;
use super::history::{Action, Actor, Record};
use super::operation::{Done, DrainReport, Goal, Refused, Request, Verdict, Word};
use super::operator::Operator;
use super::restart::BrokenOff;
use crate::service::{Detour, Service};
use crate::types::Color;

impl Operator {
    pub(super) fn note_done(&self, request: &Request, done: &Done, before: u64) {
        self.note(done_record(request, done, before));
    }

    /// A flip, and for how long it will be watched.
    pub(super) fn note_switch(&self, request: &Request, done: &Done, before: u64, watch: Option<Duration>) {
        if let Some(word) = counted(&done.result) {
            self.shared.metrics.service(&done.service).switched(word);
        }
        self.note(Record { watch_ms: watch.map(millis), ..done_record(request, done, before) });
    }

    pub(super) fn note_refusal(&self, service: &Service, request: &Request, refused: &Refused) {
        let active = service.active();
        self.shared.metrics.service(service.name()).switched(refused.result());
        self.note(Record {
            from: Some(active.color),
            to: match request.goal {
                Goal::To(color) | Goal::GateOnly(color) | Goal::Canary { color, .. } | Goal::Preview { color, .. } => {
                    Some(color)
                }
                Goal::Previous => active.previous,
                _ => None,
            },
            generation: active.generation,
            result: refused.result().to_owned(),
            detail: Some(refused.to_string()),
            ..record(service.name(), request)
        });
    }

    /// What the watch of a switch came to.
    pub(super) fn note_verdict(&self, service: &Service, request: &Request, from: Color, verdict: &Verdict) {
        if matches!(verdict.verdict, Word::Inconclusive | Word::RolledBack) {
            self.shared.metrics.service(service.name()).switched(result_of(verdict));
        }
        self.note_watch(service, request, from, verdict);
    }

    /// The same of one step, which is not the end of it.
    pub(super) fn note_watch(&self, service: &Service, request: &Request, from: Color, verdict: &Verdict) {
        let is_back = verdict.verdict == Word::RolledBack;
        self.note(Record {
            action: Action::Watch,
            from: Some(verdict.color),
            to: is_back.then_some(from),
            generation: service.active().generation,
            result: result_of(verdict).to_owned(),
            detail: Some(verdict.why.clone()),
            verdict: Some(verdict.clone()),
            ..record(service.name(), request)
        });
    }

    pub(super) fn note_drain(&self, service: &Service, actor: &Actor, done: &DrainReport) {
        self.note(Record {
            from: Some(done.color),
            result: if done.cancelled { "cancelled" } else { "drained" }.to_owned(),
            drain: Some(done.clone()),
            ..by(service, Action::Drain, actor.clone())
        });
    }

    /// One colour stands in for the other, or has ceased to: nobody's doing.
    pub(super) fn note_detour(&self, service: &Arc<Service>, detour: Option<Detour>) {
        let active = service.active();
        let name = service.name();
        let (result, detail) = match detour {
            Some(Detour::Failover) => ("failover", format!("no backend of {} is healthy", active.color)),
            Some(Detour::Fallback) => ("fallback", "no backend of the canary is healthy".to_owned()),
            None => ("recovered", "every colour serves its own again".to_owned()),
        };
        if detour.is_some() {
            tracing::error!(service = %name, result, detail, "the other colour stands in");
        } else {
            tracing::info!(service = %name, result, detail, "nobody stands in any more");
        }
        self.shared.metrics.service(name).detoured(result);
        self.note(Record {
            from: Some(active.color),
            to: (detour == Some(Detour::Failover)).then(|| active.color.other()),
            result: result.to_owned(),
            detail: Some(detail),
            ..by(service, Action::Failover, ourselves())
        });
    }

    /// What the last end of the daemon has broken off.
    pub(super) fn note_broken_off(&self, service: &Service, broken: &BrokenOff) {
        let active = service.active();
        let (action, result) = match broken {
            BrokenOff::Record => (Action::Restart, "unrecorded"),
            BrokenOff::Watch { color, .. } if *color == active.color => (Action::Watch, "inconclusive"),
            BrokenOff::Watch { .. } => (Action::Watch, "ended"),
            BrokenOff::Steps(_) => (Action::Canary, "kept"),
        };
        let detail = broken.to_string();
        tracing::warn!(service = %service.name(), generation = active.generation, "{detail}");
        self.note(Record {
            from: if let BrokenOff::Watch { color, .. } = broken { Some(*color) } else { Some(active.color) },
            to: if let BrokenOff::Steps(canary) = broken { Some(canary.color) } else { None },
            percent: if let BrokenOff::Steps(canary) = broken { Some(canary.percent) } else { None },
            result: result.to_owned(),
            detail: Some(detail),
            ..by(service, action, ourselves())
        });
    }

    /// The history is told, not asked: a full disk does not undo a switch that is done.
    fn note(&self, record: Record) {
        let snapshot = self.shared.snapshot.load();
        let is_colored = snapshot.services.get(record.service.as_str()).is_none_or(|service| service.is_colored());
        // Of a service with one pool, what `Active` says of a colour means nothing.
        let record = if is_colored { record } else { Record { from: None, to: None, ..record } };
        if let Err(error) = self.history.append(&record) {
            tracing::error!(%error, "history not written");
        }
    }
}

fn result_of(verdict: &Verdict) -> &'static str {
    match verdict.verdict {
        Word::Passed => "passed",
        Word::Inconclusive => "inconclusive",
        Word::RolledBack => "rolled-back",
        Word::Failed => "failed",
        Word::Ended => "ended",
    }
}

/// What is nobody's doing is the daemon's.
fn ourselves() -> Actor {
    Actor::new(rustix::process::getuid().as_raw(), i32::try_from(std::process::id()).ok())
}

/// The results that `edge_switches_total` counts when they are done; verdicts and refusals count for themselves.
fn counted(result: &str) -> Option<&'static str> {
    ["switched", "forced"].into_iter().find(|word| *word == result)
}

fn done_record(request: &Request, done: &Done, before: u64) -> Record {
    Record {
        from: Some(done.from),
        to: Some(done.to),
        from_generation: Some(before),
        generation: done.generation,
        result: done.result.clone(),
        gate_ms: done.gate_ms,
        flip_us: done.flip_us,
        percent: done.percent,
        ..record(&done.service, request)
    }
}

fn record(service: &str, request: &Request) -> Record {
    let action = match request.goal {
        Goal::To(_) | Goal::GateOnly(_) => Action::Switch,
        Goal::Previous => Action::Rollback,
        Goal::Canary { .. } | Goal::CanaryOff => Action::Canary,
        Goal::Pause { .. } => Action::Pause,
        Goal::Resume => Action::Resume,
        Goal::MaintenanceOn { .. } | Goal::MaintenanceOff => Action::Maintenance,
        Goal::Preview { .. } => Action::Preview,
    };
    Record { reason: request.reason.clone(), ..empty(service, action, request.actor.clone()) }
}

fn by(service: &Service, action: Action, actor: Actor) -> Record {
    Record { generation: service.active().generation, ..empty(service.name(), action, actor) }
}

fn empty(service: &str, action: Action, actor: Actor) -> Record {
    Record {
        time: Timestamp::now(),
        service: service.to_owned(),
        action,
        actor,
        reason: None,
        from: None,
        to: None,
        from_generation: None,
        generation: 0,
        result: String::new(),
        detail: None,
        gate_ms: None,
        flip_us: None,
        percent: None,
        drain: None,
        watch_ms: None,
        verdict: None,
    }
}
