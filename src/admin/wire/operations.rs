//! Bodies of the operations on a service: one struct for each verb, the same on both ends.
//!
//! An empty body is `{}`. A field that a verb does not take is refused. Each change takes `if_generation` (refused with
//! `generation_conflict` unless this is the present one) and `reason` (for the history).

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::written::Written;
use crate::types::Color;

/// The last segment of an operation's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceVerb {
    Switch,
    Rollback,
    Gate,
    Canary,
    Pause,
    Resume,
    Maintenance,
    Preview,
}

impl ServiceVerb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Rollback => "rollback",
            Self::Gate => "gate",
            Self::Canary => "canary",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Maintenance => "maintenance",
            Self::Preview => "preview",
        }
    }

    /// Whether it is about the two colours; else a service with one pool takes it too.
    pub fn needs_colors(self) -> bool {
        !matches!(self, Self::Pause | Self::Resume | Self::Maintenance)
    }
}

/// A body, and the verb it belongs to.
pub trait VerbBody: Serialize + DeserializeOwned + Default {
    const VERB: ServiceVerb;

    /// Whether the answer comes only when the watch has ended and the old colour has drained.
    fn waits(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SwitchBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Written<Color>>,
    /// For the gate; else the service's `switch.timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Written<Duration>>,
    /// Else the service's `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Written<Duration>>,
    /// Else the service's `switch.watch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Written<Duration>>,
    /// Shares of a canary before the flip, in per cent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<u8>,
    /// How long each step is watched; else 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_time: Option<Written<Duration>>,
    /// Skips the gate.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    #[serde(skip_serializing_if = "is_true")]
    pub wait: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RollbackBody {
    /// For the gate; else the service's `switch.timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Written<Duration>>,
    /// Else the service's `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Written<Duration>>,
    /// Else it is not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<Written<Duration>>,
    /// Skips the gate.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// Also to a colour that was rolled back from.
    #[serde(skip_serializing_if = "is_false")]
    pub anyway: bool,
    #[serde(skip_serializing_if = "is_true")]
    pub wait: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Written<Color>>,
    /// Else the service's `switch.timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Written<Duration>>,
}

/// A colour and a share begin a canary or change its share; `off` ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CanaryBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Written<Color>>,
    /// 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    #[serde(skip_serializing_if = "is_false")]
    pub off: bool,
    /// For the gate; else the service's `switch.timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Written<Duration>>,
    /// With `off`; else the service's `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Written<Duration>>,
    #[serde(skip_serializing_if = "is_true")]
    pub wait: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PauseBody {
    /// How long one request is held; else 30 s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Written<Duration>>,
    /// How long to wait until nothing is in flight; else the service's `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Written<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResumeBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceBody {
    #[serde(skip_serializing_if = "is_false")]
    pub off: bool,
    /// For the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Addresses and networks that are served all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PreviewBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<Written<Color>>,
    /// How long the link is valid, `1s` to `30d`; else 1 h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Written<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl VerbBody for SwitchBody {
    const VERB: ServiceVerb = ServiceVerb::Switch;

    fn waits(&self) -> bool {
        self.wait
    }
}

impl VerbBody for RollbackBody {
    const VERB: ServiceVerb = ServiceVerb::Rollback;

    fn waits(&self) -> bool {
        self.wait
    }
}

impl VerbBody for GateBody {
    const VERB: ServiceVerb = ServiceVerb::Gate;
}

impl VerbBody for CanaryBody {
    const VERB: ServiceVerb = ServiceVerb::Canary;

    fn waits(&self) -> bool {
        self.wait
    }
}

impl VerbBody for PauseBody {
    const VERB: ServiceVerb = ServiceVerb::Pause;
}

impl VerbBody for ResumeBody {
    const VERB: ServiceVerb = ServiceVerb::Resume;
}

impl VerbBody for MaintenanceBody {
    const VERB: ServiceVerb = ServiceVerb::Maintenance;
}

impl VerbBody for PreviewBody {
    const VERB: ServiceVerb = ServiceVerb::Preview;
}

impl Default for SwitchBody {
    fn default() -> Self {
        Self {
            color: None,
            timeout: None,
            drain: None,
            watch: None,
            steps: Vec::new(),
            step_time: None,
            force: false,
            wait: true,
            if_generation: None,
            reason: None,
        }
    }
}

impl Default for RollbackBody {
    fn default() -> Self {
        Self {
            timeout: None,
            drain: None,
            watch: None,
            force: false,
            anyway: false,
            wait: true,
            if_generation: None,
            reason: None,
        }
    }
}

impl Default for CanaryBody {
    fn default() -> Self {
        Self {
            color: None,
            percent: None,
            off: false,
            timeout: None,
            drain: None,
            wait: true,
            if_generation: None,
            reason: None,
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
        let switch: SwitchBody = serde_json::from_str("{}").unwrap();
        assert!(switch.waits() && !switch.force);
        assert!(RollbackBody::default().waits() && CanaryBody::default().waits());
        assert_eq!(serde_json::to_string(&switch).unwrap(), "{}", "a usual value is not sent");
    }

    #[test]
    fn a_duration_is_text_with_a_unit() {
        let body = PauseBody { max: Some(Duration::from_secs(90).into()), ..PauseBody::default() };
        let text = serde_json::to_string(&body).unwrap();
        assert_eq!(text, r#"{"max":"1m30s"}"#);
        assert_eq!(serde_json::from_str::<PauseBody>(&text).unwrap(), body);
        let wrong: PauseBody = serde_json::from_str(r#"{"max":"90"}"#).unwrap();
        assert!(wrong.max.unwrap().read().unwrap_err().to_string().contains("\"90\" is not a duration"));
    }
}
