//! What is asked of a service: the body of an operation, the same on both ends.

use serde::{Deserialize, Serialize};

/// Body of an operation on a service; empty is `{}`. Which fields a verb takes: [`Ask::fields`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ask {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// For the gate, else the service's `switch.timeout`; of a pause, until nothing is in flight, else `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Else the service's `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// Else the service's `switch.watch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// How long a preview's link is valid, `1s` to `30d`; 1 h unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Shares of a canary before the flip, in per cent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<u8>,
    /// How long each step is watched; 30 s unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_time: Option<String>,
    /// The canary's share, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Ends a canary or a maintenance.
    #[serde(skip_serializing_if = "is_false")]
    pub off: bool,
    /// How long a pause holds one request; 30 s unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// For the page of a maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Addresses and networks that pass a maintenance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Skips the gate.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// Whether to answer only when the watch has ended and the old colour has drained. True unless said otherwise.
    #[serde(skip_serializing_if = "is_true")]
    pub wait: bool,
    /// Refused with `generation_conflict` unless this is the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    /// For the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            color: None,
            timeout: None,
            drain: None,
            watch: None,
            ttl: None,
            steps: Vec::new(),
            step_time: None,
            percent: None,
            off: false,
            max: None,
            message: None,
            allow: Vec::new(),
            force: false,
            wait: true,
            if_generation: None,
            reason: None,
        }
    }
}

impl Ask {
    /// What a verb takes: any other field would be ignored, so it is refused.
    pub fn fields(verb: &str) -> &'static [&'static str] {
        match verb {
            "switch" => &[
                "color",
                "timeout",
                "drain",
                "watch",
                "steps",
                "step_time",
                "force",
                "wait",
                "if_generation",
                "reason",
            ],
            "rollback" => &["timeout", "drain", "watch", "wait", "if_generation", "reason"],
            "gate" => &["color", "timeout"],
            "canary" => &["color", "percent", "off", "timeout", "drain", "wait", "if_generation", "reason"],
            "pause" => &["max", "timeout", "if_generation", "reason"],
            "resume" => &["if_generation", "reason"],
            "preview" => &["color", "ttl", "reason"],
            "maintenance" => &["off", "message", "allow", "if_generation", "reason"],
            _ => &[],
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_body_waits_and_does_not_force() {
        let ask: Ask = serde_json::from_str("{}").unwrap();
        assert!(ask.wait && !ask.force);
    }
}
