//! One line of the history.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::messages::{Actor, DrainReport, OperationResult, VerdictKind, WatchVerdict};
use crate::types::Color;

/// One thing that was done, refused, or that happened to a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryRecord {
    pub time: Timestamp,
    pub service: String,
    pub action: HistoryAction,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Color>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Color>,
    /// The generation before, where this has changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_generation: Option<u64>,
    pub generation: u64,
    pub result: HistoryResult,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainReport>,
    /// The canary's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// How long a switch is to be watched. A daemon that starts and finds no verdict for it knows that its end broke the
    /// watch off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<WatchVerdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryAction {
    Switch,
    Rollback,
    Drain,
    Watch,
    Canary,
    Pause,
    Resume,
    Maintenance,
    Preview,
    Failover,
    Restart,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryResult {
    // Of an operation.
    Switched,
    Forced,
    Unchanged,
    Ready,
    Canary,
    CanaryOff,
    Paused,
    Resumed,
    MaintenanceOn,
    MaintenanceOff,
    Preview,
    // Of one that was not done.
    Refused,
    Conflict,
    // Of one that was not done, or of a watch.
    Failed,
    // Of a watch.
    Passed,
    Inconclusive,
    RolledBack,
    Ended,
    // Of a drain.
    Drained,
    Cancelled,
    // Of a failover.
    Failover,
    Fallback,
    Recovered,
    // Of a restart: a change without its record, and a canary that is kept.
    Unrecorded,
    Kept,
    /// A result that a newer daemon has written.
    #[serde(untagged)]
    Other(String),
}

impl HistoryRecord {
    /// A record of now with nothing in it yet.
    pub fn new(service: &str, action: HistoryAction, actor: Actor, result: HistoryResult, generation: u64) -> Self {
        Self {
            time: Timestamp::now(),
            service: service.to_owned(),
            action,
            actor,
            reason: None,
            from: None,
            to: None,
            from_generation: None,
            generation,
            result,
            detail: None,
            gate_ms: None,
            flip_us: None,
            percent: None,
            drain: None,
            watch_ms: None,
            verdict: None,
        }
    }
}

impl HistoryResult {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Switched => "switched",
            Self::Forced => "forced",
            Self::Unchanged => "unchanged",
            Self::Ready => "ready",
            Self::Canary => "canary",
            Self::CanaryOff => "canary-off",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::MaintenanceOn => "maintenance-on",
            Self::MaintenanceOff => "maintenance-off",
            Self::Preview => "preview",
            Self::Refused => "refused",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::RolledBack => "rolled-back",
            Self::Ended => "ended",
            Self::Drained => "drained",
            Self::Cancelled => "cancelled",
            Self::Failover => "failover",
            Self::Fallback => "fallback",
            Self::Recovered => "recovered",
            Self::Unrecorded => "unrecorded",
            Self::Kept => "kept",
            Self::Other(text) => text,
        }
    }
}

impl From<&OperationResult> for HistoryResult {
    fn from(result: &OperationResult) -> Self {
        match result {
            OperationResult::Switched => Self::Switched,
            OperationResult::Forced => Self::Forced,
            OperationResult::Inconclusive => Self::Inconclusive,
            OperationResult::RolledBack => Self::RolledBack,
            OperationResult::Unchanged => Self::Unchanged,
            OperationResult::Ready => Self::Ready,
            OperationResult::Canary => Self::Canary,
            OperationResult::CanaryOff => Self::CanaryOff,
            OperationResult::Paused => Self::Paused,
            OperationResult::Resumed => Self::Resumed,
            OperationResult::MaintenanceOn => Self::MaintenanceOn,
            OperationResult::MaintenanceOff => Self::MaintenanceOff,
            OperationResult::Preview => Self::Preview,
            OperationResult::Other(text) => Self::Other(text.clone()),
        }
    }
}

impl From<VerdictKind> for HistoryResult {
    fn from(kind: VerdictKind) -> Self {
        match kind {
            VerdictKind::Passed => Self::Passed,
            VerdictKind::Inconclusive => Self::Inconclusive,
            VerdictKind::RolledBack => Self::RolledBack,
            VerdictKind::Failed => Self::Failed,
            VerdictKind::Ended => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_shown_as_it_is_written() {
        let words = "switched forced unchanged ready canary canary-off paused resumed maintenance-on maintenance-off preview \
                     refused conflict failed passed inconclusive rolled-back ended drained cancelled failover fallback \
                     recovered unrecorded kept";
        for word in words.split_whitespace() {
            let result: HistoryResult = serde_json::from_value(word.into()).unwrap();
            assert!(!matches!(result, HistoryResult::Other(_)), "{word}");
            assert_eq!((result.as_str(), serde_json::to_value(&result).unwrap()), (word, word.into()));
        }
        let newer: HistoryResult = serde_json::from_value("mended".into()).unwrap();
        assert_eq!((newer.as_str(), serde_json::to_value(&newer).unwrap()), ("mended", "mended".into()));
    }

    #[test]
    fn results_and_verdicts_keep_their_word() {
        for result in
            [OperationResult::Switched, OperationResult::CanaryOff, OperationResult::Other("mended".to_owned())]
        {
            assert_eq!(
                serde_json::to_value(HistoryResult::from(&result)).unwrap(),
                serde_json::to_value(&result).unwrap()
            );
        }
        for kind in [VerdictKind::Passed, VerdictKind::RolledBack, VerdictKind::Failed, VerdictKind::Ended] {
            assert_eq!(serde_json::to_value(HistoryResult::from(kind)).unwrap(), serde_json::to_value(kind).unwrap());
        }
    }
}
