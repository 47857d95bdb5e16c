//! What a watch has seen, and its judgement.

use serde::{Deserialize, Serialize};

use crate::types::Color;

/// The end of a watch, with the figures it was judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchVerdict {
    pub color: Color,
    /// The generation that was watched.
    #[serde(default)]
    pub generation: u64,
    #[serde(rename = "verdict")]
    pub kind: VerdictKind,
    /// Answers of the colour during the watch. Answers to warm-up paths count, and so does what had not been answered.
    pub requests: u64,
    /// Of these: 5xx, failed connects, timeouts, and what had not been answered.
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
pub enum VerdictKind {
    Passed,
    /// Too few requests to judge by; the colour is kept.
    Inconclusive,
    /// Out of bounds: the traffic is where it was before.
    RolledBack,
    /// Out of bounds, and the traffic could not go back.
    Failed,
    /// Another operation moved the traffic before there was a verdict.
    Ended,
}

impl WatchVerdict {
    /// The colour has broken its bounds, but the traffic could not go back.
    pub fn fail_to_roll_back(&mut self, reason: impl std::fmt::Display) {
        self.kind = VerdictKind::Failed;
        self.why = format!("{}; not rolled back: {reason}", self.why);
    }
}
