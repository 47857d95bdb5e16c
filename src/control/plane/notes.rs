//! What an operation writes into the history, and counts.

use std::time::Duration;

use super::counted::SwitchResult;
use super::operation::Operation;
use crate::control::disk::{HistoryAction, HistoryRecord, HistoryResult};
use crate::control::messages::{DrainReport, Goal, OperationDone, OperationRefused, VerdictKind, WatchVerdict, millis};
use crate::types::Color;

impl Operation {
    /// `before` is the generation before the change.
    pub fn note_done(&self, done: &OperationDone, before: u64) {
        self.plane.note(self.done_record(done, before));
    }

    /// A change that moves no traffic.
    pub fn note_set(&self, done: &OperationDone, before: u64) {
        let result = HistoryResult::from(&done.result);
        tracing::info!(service = %self.name(), generation = done.generation, "{}", result.as_str());
        self.note_done(done, before);
    }

    /// A flip, and for how long it will be watched.
    pub fn note_switch(&self, done: &OperationDone, before: u64, watch: Option<Duration>) {
        if let Some(result) = SwitchResult::of_flip(&done.result) {
            self.plane.count_result(&done.service, result);
        }
        self.plane.note(HistoryRecord { watch_ms: watch.map(millis), ..self.done_record(done, before) });
    }

    pub fn note_refusal(&self, refused: &OperationRefused) {
        let active = self.service.active();
        let result = SwitchResult::of_refusal(refused);
        self.plane.count_result(self.name(), result);
        self.plane.note(HistoryRecord {
            from: Some(active.color),
            to: match self.request.goal {
                Goal::To(color) | Goal::GateOnly(color) | Goal::Canary { color, .. } | Goal::Preview { color, .. } => {
                    Some(color)
                }
                Goal::Previous => active.previous,
                _ => None,
            },
            detail: Some(refused.to_string()),
            ..self.record(result.into(), active.generation)
        });
    }

    /// The verdict of the watch that follows a flip, or that ends a rollout. `from` is the colour that served before.
    pub fn note_verdict(&self, from: Color, verdict: &WatchVerdict) {
        if let Some(result) = SwitchResult::of_verdict(verdict.kind) {
            self.plane.count_result(self.name(), result);
        }
        self.note_watch(from, verdict);
    }

    /// The verdict of one step, which is not the end of its rollout.
    pub fn note_watch(&self, from: Color, verdict: &WatchVerdict) {
        let is_back = verdict.kind == VerdictKind::RolledBack;
        self.plane.note(HistoryRecord {
            action: HistoryAction::Watch,
            from: Some(verdict.color),
            to: is_back.then_some(from),
            detail: Some(verdict.why.clone()),
            verdict: Some(verdict.clone()),
            ..self.record(verdict.kind.into(), self.service.active().generation)
        });
    }

    pub fn note_drain(&self, report: &DrainReport) {
        let result = if report.cancelled { HistoryResult::Cancelled } else { HistoryResult::Drained };
        let generation = self.service.active().generation;
        self.plane.note(HistoryRecord {
            from: Some(report.color),
            drain: Some(report.clone()),
            ..HistoryRecord::new(self.name(), HistoryAction::Drain, self.request.actor.clone(), result, generation)
        });
    }

    fn done_record(&self, done: &OperationDone, before: u64) -> HistoryRecord {
        HistoryRecord {
            from: done.from,
            to: done.to,
            from_generation: Some(before),
            gate_ms: done.gate_ms,
            flip_us: done.flip_us,
            percent: done.percent,
            ..self.record((&done.result).into(), done.generation)
        }
    }

    fn record(&self, result: HistoryResult, generation: u64) -> HistoryRecord {
        let action = match self.request.goal {
            Goal::To(_) | Goal::GateOnly(_) => HistoryAction::Switch,
            Goal::Previous => HistoryAction::Rollback,
            Goal::Canary { .. } | Goal::CanaryOff => HistoryAction::Canary,
            Goal::Pause { .. } => HistoryAction::Pause,
            Goal::Resume => HistoryAction::Resume,
            Goal::MaintenanceOn { .. } | Goal::MaintenanceOff => HistoryAction::Maintenance,
            Goal::Preview { .. } => HistoryAction::Preview,
        };
        let reason = self.request.reason.clone();
        HistoryRecord {
            reason,
            ..HistoryRecord::new(self.name(), action, self.request.actor.clone(), result, generation)
        }
    }
}
