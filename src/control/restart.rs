//! What the daemon's last end has broken off, told once at its next start: a watch, the steps of a rollout, the writing of
//! a record.
//!
//! [`broken_off`] is pure. Nothing is taken up again: what the state file says serves, whoever wants more asks for it.

use std::fmt;
use std::sync::Arc;

use super::history::{Action, Record};
use super::operator::Operator;
use crate::service::{Active, Canary, Service};
use crate::types::Color;

/// How far back the history is looked at.
const RECORDS: usize = 1000;

/// One thing that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BrokenOff {
    /// What serves has changed and no record says so.
    Record,
    /// The colour that was watched keeps the traffic, if it still had it.
    Watch { color: Color },
    /// The share of that moment stays.
    Steps(Canary),
}

impl fmt::Display for BrokenOff {
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

impl Operator {
    /// For the start alone: a watch of this process may run on over a reload.
    pub fn tell_what_broke_off<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) {
        let records = self.history.last(None, RECORDS).unwrap_or_else(|error| {
            tracing::error!(%error, "history not read");
            Vec::new()
        });
        for service in services {
            let own: Vec<&Record> = records.iter().filter(|record| record.service == **service.name()).collect();
            for broken in broken_off(&own, &service.active(), records.len() < RECORDS) {
                self.note_broken_off(service, &broken);
            }
        }
    }
}

/// From the records of one service, oldest first, and what serves now. `is_all`: no older ones were left out.
fn broken_off(records: &[&Record], now: &Active, is_all: bool) -> Vec<BrokenOff> {
    let told = records.iter().map(|record| record.generation).max();
    let is_unrecorded = told.map_or(is_all && now.generation > 1, |told| told < now.generation);
    let course = course_of(records, now);
    is_unrecorded.then_some(BrokenOff::Record).into_iter().chain(course).collect()
}

/// The watch or the rollout that the last move of the traffic has begun, unless its end is told too.
fn course_of(records: &[&Record], now: &Active) -> Option<BrokenOff> {
    let mut judged = Vec::new();
    let mut has_failed = false;
    for record in records.iter().rev() {
        match (record.action, record.result.as_str()) {
            // Without a verdict: from here.
            (Action::Watch, _) => judged.push(record.verdict.as_ref()?.generation),
            (Action::Switch | Action::Rollback, "switched" | "forced") => {
                let is_open = record.watch_ms.is_some() && !judged.contains(&record.generation);
                return record.to.filter(|_| is_open).map(|color| BrokenOff::Watch { color });
            }
            (Action::Switch, "failed") => has_failed = true,
            // Its own end, if it was told: nobody else's switch gets as far while it holds the service.
            (Action::Switch, "canary") => return now.canary.filter(|_| !has_failed).map(BrokenOff::Steps),
            (_, "canary" | "canary-off" | "kept") => return None,
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

    fn record(action: &str, result: &str, generation: u64, more: &Value) -> Record {
        let mut fields = json!({
            "time": "2026-01-01T00:00:00Z", "service": "app", "action": action, "actor": { "uid": 0 },
            "result": result, "generation": generation, "to": "green",
        });
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(fields).unwrap()
    }

    fn watched(action: &str, generation: u64) -> Record {
        record(action, "switched", generation, &json!({ "watch_ms": 60_000 }))
    }

    fn verdict(result: &str, of: u64, generation: u64) -> Record {
        let verdict = json!({
            "color": "green", "generation": of, "verdict": result, "requests": 0, "failed": 0, "max_error_rate": 0.05,
            "min_requests": 20, "watched_ms": 1, "why": "",
        });
        record("watch", result, generation, &json!({ "verdict": verdict }))
    }

    fn step(generation: u64) -> Record {
        record("switch", "canary", generation, &json!({ "percent": 5 }))
    }

    fn serving(generation: u64) -> Active {
        Active::new(Color::Green, generation, SystemTime::UNIX_EPOCH)
    }

    fn told(records: &[Record], now: &Active) -> Vec<BrokenOff> {
        broken_off(&records.iter().collect::<Vec<_>>(), now, true)
    }

    const WATCH: BrokenOff = BrokenOff::Watch { color: Color::Green };

    #[test]
    fn a_watch_without_a_verdict_was_broken_off_and_that_is_told_once() {
        let mut records = vec![watched("switch", 2), record("drain", "drained", 2, &json!({}))];
        assert_eq!(told(&records, &serving(2)), [WATCH]);
        records.push(record("pause", "paused", 3, &json!({})));
        assert_eq!(told(&records, &serving(3)), [WATCH], "a pause ends no watch");
        records.push(record("switch", "failed", 3, &json!({})));
        assert_eq!(told(&records, &serving(3)), [WATCH], "nor does a switch that was not done");
        records.push(record("watch", "inconclusive", 3, &json!({})));
        assert_eq!(told(&records, &serving(3)), []);
    }

    #[test]
    fn a_watch_with_a_verdict_was_not() {
        for result in ["passed", "inconclusive", "rolled-back", "failed"] {
            assert_eq!(told(&[watched("switch", 2), verdict(result, 2, 3)], &serving(3)), [], "{result}");
        }
        assert_eq!(told(&[record("switch", "switched", 2, &json!({}))], &serving(2)), [], "none was asked for");
    }

    #[test]
    fn the_verdict_of_an_earlier_watch_is_not_that_of_the_last() {
        // The rollback ends the first watch, which says so a moment later.
        let records = [watched("switch", 2), watched("rollback", 3), verdict("ended", 2, 3)];
        assert_eq!(told(&records, &serving(3)), [WATCH]);
    }

    #[test]
    fn steps_are_broken_off_while_their_canary_is_there() {
        let canary = Canary { color: Color::Green, percent: 25, id: 2 };
        let climbing = Active { canary: Some(canary), ..serving(3) };
        let mut records = vec![step(2), step(3)];
        assert_eq!(told(&records, &climbing), [BrokenOff::Steps(canary)]);
        assert_eq!(told(&records, &serving(4)), [BrokenOff::Record], "its end was not written down");
        let stopped = [step(2), step(3), record("switch", "failed", 3, &json!({}))];
        assert_eq!(told(&stopped, &climbing), [], "the disk was full, and that was told");
        records.push(record("canary", "kept", 3, &json!({})));
        assert_eq!(told(&records, &climbing), []);
        assert_eq!(
            told(&[record("canary", "canary", 3, &json!({}))], &climbing),
            [],
            "by hand it has no end of its own"
        );
        assert_eq!(told(&[step(2), watched("switch", 3)], &serving(3)), [WATCH]);
    }

    #[test]
    fn a_change_without_a_record_is_told() {
        assert_eq!(told(&[], &serving(1)), [], "nothing has changed yet");
        assert_eq!(told(&[], &serving(2)), [BrokenOff::Record]);
        assert_eq!(broken_off(&[], &serving(2), false), [], "its records are older than those that were read");
        assert_eq!(told(&[record("switch", "switched", 2, &json!({}))], &serving(3)), [BrokenOff::Record]);
        let records = [record("switch", "switched", 2, &json!({})), record("restart", "unrecorded", 3, &json!({}))];
        assert_eq!(told(&records, &serving(3)), []);
    }
}
