//! What the daemon's last end has interrupted, reported once at its next start: a watch, the steps of a rollout, the writing of
//! a record.
//!
//! [`interrupted`] is pure. Nothing is resumed: the state file says what serves, and an operator who wants more asks for it.
//! What is found and what is recorded is tested here; reading the history and writing to it, in `tests/kill.rs`.

use std::fmt;
use std::sync::Arc;

use super::disk::{HistoryAction, HistoryRecord, HistoryResult};
use super::messages::Actor;
use super::plane::ControlPlane;
use crate::service::{Active, Canary, Service};
use crate::types::Color;

/// How many records of the history are read.
const RECORDS: usize = 1000;

/// One thing that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Interrupted {
    /// What serves has changed, and there is no record of it.
    Record,
    /// The watched colour keeps the traffic, if it still has it.
    Watch { color: Color },
    /// The clients of the last step stay where they are.
    Steps(Canary),
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record => f.write_str("the daemon was ended before it could write down what made this generation"),
            Self::Watch { .. } => f.write_str("the daemon was restarted during the watch"),
            Self::Steps(Canary { color, percent, .. }) => write!(
                f,
                "the daemon was restarted during a switch by steps: {percent} % of the clients stay on {color}; \
                 `edgectl switch {color}` goes on, `edgectl canary off` goes back"
            ),
        }
    }
}

impl ControlPlane {
    /// For the daemon's start only: after a reload, a watch of this same process may still be running.
    pub(super) fn report_interrupted<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) {
        let records = self.history.last(None, RECORDS).unwrap_or_else(|error| {
            tracing::error!(%error, "history not read");
            Vec::new()
        });
        for service in services {
            let own: Vec<&HistoryRecord> = records.iter().filter(|record| record.service == **service.name()).collect();
            let active = service.active();
            for one in interrupted(&own, &active, records.len() < RECORDS) {
                tracing::warn!(service = %service.name(), generation = active.generation, "{one}");
                self.note(one.record(service.name(), &active));
            }
        }
    }
}

impl Interrupted {
    /// What the history gets, from what serves now.
    fn record(&self, service: &str, now: &Active) -> HistoryRecord {
        let (action, result) = match self {
            Self::Record => (HistoryAction::Restart, HistoryResult::Unrecorded),
            Self::Watch { color } if *color == now.color => (HistoryAction::Watch, HistoryResult::Inconclusive),
            Self::Watch { .. } => (HistoryAction::Watch, HistoryResult::Ended),
            Self::Steps(_) => (HistoryAction::Canary, HistoryResult::Kept),
        };
        HistoryRecord {
            from: if let Self::Watch { color } = self { Some(*color) } else { Some(now.color) },
            to: if let Self::Steps(canary) = self { Some(canary.color) } else { None },
            percent: if let Self::Steps(canary) = self { Some(canary.percent) } else { None },
            detail: Some(self.to_string()),
            ..HistoryRecord::new(service, action, Actor::daemon(), result, now.generation)
        }
    }
}

/// From the records of one service, oldest first, and what serves now. `is_all`: these are all records there ever were.
fn interrupted(records: &[&HistoryRecord], now: &Active, is_all: bool) -> Vec<Interrupted> {
    let recorded = records.iter().map(|record| record.generation).max();
    let is_unrecorded = recorded.map_or(is_all && now.generation > 1, |recorded| recorded < now.generation);
    let course = open_course(records, now);
    is_unrecorded.then_some(Interrupted::Record).into_iter().chain(course).collect()
}

/// The watch or the rollout that the last move of the traffic has begun, if the records don't tell its end.
fn open_course(records: &[&HistoryRecord], now: &Active) -> Option<Interrupted> {
    let mut judged = Vec::new();
    let mut has_failed = false;
    for record in records.iter().rev() {
        match (record.action, &record.result) {
            // A record of this kind without a verdict was written by an earlier call of this.
            (HistoryAction::Watch, _) => judged.push(record.verdict.as_ref()?.generation),
            (HistoryAction::Switch | HistoryAction::Rollback, HistoryResult::Switched | HistoryResult::Forced) => {
                let is_open = record.watch_ms.is_some() && !judged.contains(&record.generation);
                return record.to.filter(|_| is_open).map(|color| Interrupted::Watch { color });
            }
            (HistoryAction::Switch, HistoryResult::Failed) => has_failed = true,
            // The failed switch was this rollout: no other switch gets as far while the rollout holds the gate.
            (HistoryAction::Switch, HistoryResult::Canary) => {
                return now.canary.filter(|_| !has_failed).map(Interrupted::Steps);
            }
            (_, HistoryResult::Canary | HistoryResult::CanaryOff | HistoryResult::Kept) => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use serde_json::{Value, json};

    use super::*;

    fn record(action: &str, result: &str, generation: u64, more: &Value) -> HistoryRecord {
        let mut fields = json!({
            "time": "2026-01-01T00:00:00Z", "service": "app", "action": action, "actor": { "uid": 0 },
            "result": result, "generation": generation, "to": "green",
        });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(fields).unwrap()
    }

    fn watched(action: &str, generation: u64) -> HistoryRecord {
        record(action, "switched", generation, &json!({ "watch_ms": 60_000 }))
    }

    fn verdict(result: &str, of: u64, generation: u64) -> HistoryRecord {
        let verdict = json!({
            "color": "green", "generation": of, "verdict": result, "requests": 0, "failed": 0, "max_error_rate": 0.05,
            "min_requests": 20, "watched_ms": 1, "why": "",
        });
        record("watch", result, generation, &json!({ "verdict": verdict }))
    }

    fn step(generation: u64) -> HistoryRecord {
        record("switch", "canary", generation, &json!({ "percent": 5 }))
    }

    fn serving(generation: u64) -> Active {
        Active::new(Color::Green, generation, SystemTime::UNIX_EPOCH)
    }

    fn found(records: &[HistoryRecord], now: &Active) -> Vec<Interrupted> {
        interrupted(&records.iter().collect::<Vec<_>>(), now, true)
    }

    const WATCH: Interrupted = Interrupted::Watch { color: Color::Green };

    #[test]
    fn a_watch_without_a_verdict_was_interrupted_and_is_reported_once() {
        let mut records = vec![watched("switch", 2), record("drain", "drained", 2, &json!({}))];
        assert_eq!(found(&records, &serving(2)), [WATCH]);
        records.push(record("pause", "paused", 3, &json!({})));
        assert_eq!(found(&records, &serving(3)), [WATCH], "a pause ends no watch");
        records.push(record("switch", "failed", 3, &json!({})));
        assert_eq!(found(&records, &serving(3)), [WATCH], "and neither does a switch that was not done");
        records.push(record("watch", "inconclusive", 3, &json!({})));
        assert_eq!(found(&records, &serving(3)), []);
    }

    #[test]
    fn a_watch_with_a_verdict_was_not_interrupted() {
        for result in ["passed", "inconclusive", "rolled-back", "failed"] {
            assert_eq!(found(&[watched("switch", 2), verdict(result, 2, 3)], &serving(3)), [], "{result}");
        }
        assert_eq!(found(&[record("switch", "switched", 2, &json!({}))], &serving(2)), [], "no watch was asked for");
    }

    #[test]
    fn the_verdict_of_an_earlier_watch_is_not_that_of_the_last() {
        // The rollback ends the first watch, whose verdict is written a moment later.
        let records = [watched("switch", 2), watched("rollback", 3), verdict("ended", 2, 3)];
        assert_eq!(found(&records, &serving(3)), [WATCH]);
    }

    #[test]
    fn steps_were_interrupted_while_their_canary_is_there() {
        let canary = Canary { color: Color::Green, percent: 25, id: 2 };
        let climbing = Active { canary: Some(canary), ..serving(3) };
        let mut records = vec![step(2), step(3)];
        assert_eq!(found(&records, &climbing), [Interrupted::Steps(canary)]);
        assert_eq!(found(&records, &serving(4)), [Interrupted::Record], "its end was not written down");
        let stopped = [step(2), step(3), record("switch", "failed", 3, &json!({}))];
        assert_eq!(found(&stopped, &climbing), [], "the disk was full, and there is a record of that");
        records.push(record("canary", "kept", 3, &json!({})));
        assert_eq!(found(&records, &climbing), []);
        assert_eq!(
            found(&[record("canary", "canary", 3, &json!({}))], &climbing),
            [],
            "a canary by hand has no end of its own"
        );
        assert_eq!(found(&[step(2), watched("switch", 3)], &serving(3)), [WATCH]);
    }

    #[test]
    fn a_change_without_a_record_is_reported() {
        assert_eq!(found(&[], &serving(1)), [], "nothing has changed yet");
        assert_eq!(found(&[], &serving(2)), [Interrupted::Record]);
        assert_eq!(interrupted(&[], &serving(2), false), [], "its records may be older than those that were read");
        assert_eq!(found(&[record("switch", "switched", 2, &json!({}))], &serving(3)), [Interrupted::Record]);
        let records = [record("switch", "switched", 2, &json!({})), record("restart", "unrecorded", 3, &json!({}))];
        assert_eq!(found(&records, &serving(3)), []);
    }

    #[test]
    fn the_record_says_what_stays_as_it_is() {
        let now = serving(3);
        let canary = Canary { color: Color::Blue, percent: 25, id: 2 };
        let (green, blue) = (Some(Color::Green), Some(Color::Blue));
        for (one, action, result, from, to, percent, detail) in [
            (Interrupted::Record, HistoryAction::Restart, HistoryResult::Unrecorded, green, None, None, "write down"),
            (WATCH, HistoryAction::Watch, HistoryResult::Inconclusive, green, None, None, "during the watch"),
            (
                Interrupted::Watch { color: Color::Blue },
                HistoryAction::Watch,
                HistoryResult::Ended,
                blue,
                None,
                None,
                "during the watch",
            ),
            (
                Interrupted::Steps(canary),
                HistoryAction::Canary,
                HistoryResult::Kept,
                green,
                blue,
                Some(25),
                "25 % of the clients stay on blue; `edgectl switch blue` goes on",
            ),
        ] {
            let record = one.record("app", &now);
            assert_eq!((record.action, record.result, record.generation), (action, result, 3), "{one:?}");
            assert_eq!((record.from, record.to, record.percent), (from, to, percent), "{one:?}");
            assert!(record.detail.as_deref().is_some_and(|text| text.contains(detail)), "{one:?}: {:?}", record.detail);
        }
    }
}
