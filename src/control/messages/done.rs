//! How an operation ended that was not refused.

use serde::{Deserialize, Serialize};

use super::verdict::{VerdictKind, WatchVerdict};
use crate::types::Color;

/// An operation that was done, or that had nothing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationDone {
    pub service: String,
    pub result: OperationResult,
    /// The colour that served before; null for a service with one pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Color>,
    /// The colour that was asked for; null for a service with one pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Color>,
    pub generation: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainReport>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<WatchVerdict>,
    /// The canary's share; also of a canary that goes on beside a switch that is `unchanged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Still in flight although the service is paused; tunnels don't count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationResult {
    Switched,
    /// Switched without a gate.
    Forced,
    /// Switched and kept, but too few requests came to judge it.
    Inconclusive,
    RolledBack,
    /// It was so already.
    Unchanged,
    /// The gate was passed, and nothing else was asked for.
    Ready,
    Canary,
    CanaryOff,
    Paused,
    Resumed,
    MaintenanceOn,
    MaintenanceOff,
    Preview,
    /// A result that a newer daemon knows.
    #[serde(untagged)]
    Other(String),
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
    /// How long the exchanges had; null in the history of an older daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// When the cuts began; null if nothing was left to cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_after_ms: Option<u64>,
    /// A switch back ended the drain: nothing was cut from then on.
    pub cancelled: bool,
}

impl OperationDone {
    /// Nothing has been done yet, or there is nothing to do.
    pub fn unchanged(service: &str, from: Color, to: Color, generation: u64) -> Self {
        Self {
            service: service.to_owned(),
            result: OperationResult::Unchanged,
            from: Some(from),
            to: Some(to),
            generation,
            gate_ms: None,
            flip_us: None,
            drain: None,
            verdict: None,
            percent: None,
            in_flight: None,
        }
    }

    /// Takes the verdict of a watch, which may change the result.
    pub fn judge(&mut self, verdict: WatchVerdict) {
        match verdict.kind {
            VerdictKind::Inconclusive => self.result = OperationResult::Inconclusive,
            VerdictKind::RolledBack => self.result = OperationResult::RolledBack,
            VerdictKind::Passed | VerdictKind::Failed | VerdictKind::Ended => {}
        }
        self.verdict = Some(verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_a_newer_daemon_is_passed_on_as_it_came() {
        for text in [r#""switched""#, r#""rolled-back""#, r#""maintenance-off""#, r#""half-switched""#] {
            let result: OperationResult = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&result).unwrap(), text);
            assert_eq!(matches!(result, OperationResult::Other(_)), text.contains("half"), "{text}");
        }
    }
}
