//! A refusal as problem+json (RFC 9457) with a stable `code`: the one table from refusal to HTTP status.
//!
//! A new kind of refusal is a new [`ProblemCode`]. The exit code of a command that gets it is in [`crate::cli`].

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::acme::NotRenewed;
use crate::control::{Actor, OperationRefused, UnreadyBackend};

/// The media type of every refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One refusal. It has no `type`, which RFC 9457 reads as `about:blank`; `title` is the status's phrase, `code` says more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub code: ProblemCode,
    /// What, where, and what to do; one sentence, lower case.
    pub detail: String,
    /// With `conflict`: who runs the other switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Box<SwitchHolder>>,
    /// With `generation_conflict`: the present generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// With `gate_not_passed`: the backends that kept it shut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<UnreadyBackend>,
    /// With `invalid_config`: every mistake with its line and column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Box<serde_json::Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchHolder {
    #[serde(flatten)]
    pub actor: Actor,
    /// For how long it has been running.
    pub seconds: u64,
}

/// Stable: scripts compare these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    NoSuchService,
    NotColored,
    NoPrevious,
    /// The colour to go back to was rolled back from.
    RolledBackFrom,
    /// There is no address for a link.
    NoHost,
    ServesAlready,
    Conflict,
    /// Another operation moved the traffic while this one ran.
    Overtaken,
    GenerationConflict,
    GateNotPassed,
    NotDurable,
    /// No authority issues one for this host.
    NoSuchCertificate,
    /// The authority has refused or can't be reached; `detail` has its words.
    NotIssued,
    ShuttingDown,
    InvalidConfig,
    BadRequest,
    BodyTooLarge,
    UnknownColor,
    BadDuration,
    NoSuchPath,
    MethodNotAllowed,
    Internal,
    /// A code that a newer daemon knows.
    #[serde(other)]
    Unknown,
}

impl ProblemCode {
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::UnknownColor | Self::BadDuration => StatusCode::BAD_REQUEST,
            Self::NoSuchService | Self::NoSuchPath | Self::NoSuchCertificate => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict
            | Self::Overtaken
            | Self::NotColored
            | Self::NoPrevious
            | Self::RolledBackFrom
            | Self::NoHost
            | Self::ServesAlready => StatusCode::CONFLICT,
            Self::GenerationConflict => StatusCode::PRECONDITION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::GateNotPassed | Self::InvalidConfig => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotDurable | Self::Internal | Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotIssued => StatusCode::BAD_GATEWAY,
            Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn of(refused: &OperationRefused) -> Self {
        match refused {
            OperationRefused::NoSuchService { .. } => Self::NoSuchService,
            OperationRefused::NotColored { .. } => Self::NotColored,
            OperationRefused::NoPrevious { .. } => Self::NoPrevious,
            OperationRefused::RolledBackFrom { .. } => Self::RolledBackFrom,
            OperationRefused::ServesAlready { .. } => Self::ServesAlready,
            OperationRefused::Overtaken { .. }
            | OperationRefused::TakenBack { .. }
            | OperationRefused::Replaced { .. } => Self::Overtaken,
            OperationRefused::Conflict { .. } => Self::Conflict,
            OperationRefused::Generation { .. } => Self::GenerationConflict,
            OperationRefused::Gate(_) => Self::GateNotPassed,
            OperationRefused::NotDurable { .. } | OperationRefused::StuckAtStep { .. } => Self::NotDurable,
            OperationRefused::ShuttingDown | OperationRefused::ShuttingDownAtStep { .. } => Self::ShuttingDown,
        }
    }
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let status = code.status();
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            code,
            detail: detail.into(),
            holder: None,
            generation: None,
            backends: Vec::new(),
            diagnostics: None,
        }
    }
}

impl From<OperationRefused> for Problem {
    fn from(refused: OperationRefused) -> Self {
        let mut problem = Self::new(ProblemCode::of(&refused), refused.to_string());
        match refused {
            OperationRefused::Conflict { holder, seconds, .. } => {
                problem.holder = Some(Box::new(SwitchHolder { actor: holder, seconds }));
            }
            OperationRefused::Generation { present, .. } => problem.generation = Some(present),
            OperationRefused::Gate(gate) => problem.backends = gate.unready,
            _ => {}
        }
        problem
    }
}

impl From<NotRenewed> for Problem {
    fn from(why: NotRenewed) -> Self {
        let code = match why {
            NotRenewed::NoSuchCertificate { .. } => ProblemCode::NoSuchCertificate,
            NotRenewed::Failed { .. } => ProblemCode::NotIssued,
            NotRenewed::Gone => ProblemCode::ShuttingDown,
        };
        Self::new(code, why.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::GateRefused;
    use crate::types::Color;

    fn refusals() -> Vec<OperationRefused> {
        let service = || "app".to_owned();
        let gate = GateRefused {
            service: service(),
            color: Color::Green,
            ready: 0,
            needed: 1,
            of: 1,
            waited: Duration::from_secs(1),
            unready: vec![UnreadyBackend { backend: "green:1".into(), why: "got 503".into() }],
            forceable: true,
        };
        vec![
            OperationRefused::NoSuchService { name: service(), known: String::new() },
            OperationRefused::NotColored { service: service() },
            OperationRefused::NoPrevious { service: service() },
            OperationRefused::ServesAlready { service: service(), color: Color::Blue },
            OperationRefused::Overtaken { service: service(), present: 8 },
            OperationRefused::Conflict {
                service: service(),
                holder: Actor { uid: 0, user: None, pid: Some(7) },
                seconds: 3,
            },
            OperationRefused::Generation { service: service(), present: 8, asked: 7 },
            OperationRefused::Gate(gate),
            OperationRefused::NotDurable { error: "no space left on device".into() },
            OperationRefused::StuckAtStep {
                service: service(),
                color: Color::Green,
                percent: 5,
                error: "no space left on device".into(),
            },
            OperationRefused::Replaced { service: service() },
            OperationRefused::TakenBack { service: service(), color: Color::Blue, present: 8 },
            OperationRefused::RolledBackFrom {
                service: service(),
                color: Color::Green,
                at: std::time::SystemTime::UNIX_EPOCH.into(),
            },
            OperationRefused::ShuttingDown,
            OperationRefused::ShuttingDownAtStep { service: service(), color: Color::Green, percent: 5 },
        ]
    }

    #[test]
    fn every_refusal_has_its_code() {
        let codes: Vec<ProblemCode> = refusals().iter().map(ProblemCode::of).collect();
        let words = [
            "no_such_service",
            "not_colored",
            "no_previous",
            "serves_already",
            "overtaken",
            "conflict",
            "generation_conflict",
            "gate_not_passed",
            "not_durable",
            "not_durable",
            "overtaken",
            "overtaken",
            "rolled_back_from",
            "shutting_down",
            "shutting_down",
        ];
        assert_eq!(serde_json::to_value(codes).unwrap(), serde_json::json!(words));
    }

    #[test]
    fn a_refusal_tells_the_facts_behind_it() {
        let problems: Vec<Problem> = refusals().into_iter().map(Problem::from).collect();
        let json = serde_json::to_value(&problems).unwrap();
        assert_eq!(json[5]["holder"], serde_json::json!({ "uid": 0, "pid": 7, "seconds": 3 }));
        assert_eq!(json[6]["generation"], 8);
        assert_eq!(json[7]["backends"][0]["why"], "got 503");
        assert_eq!(serde_json::from_value::<Vec<Problem>>(json).unwrap(), problems);
    }
}
