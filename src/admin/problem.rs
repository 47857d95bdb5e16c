//! What went wrong, as problem+json (RFC 9457) with a stable `code`: the one table from refusal to HTTP status.
//!
//! A new kind of refusal is a new [`Code`]. What a code means to a shell is [`crate::cli`]'s exit table.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::acme::NotRenewed;
use crate::control::{Actor, Refused};

/// The media type of every refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// One refusal. `type` is absent, which RFC 9457 reads as `about:blank`: `title` is the status's phrase, `code` says more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub code: Code,
    /// What, where, and what to do; one sentence, lower case.
    pub detail: String,
    /// `conflict`: who runs the other switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Box<Holder>>,
    /// `generation_conflict`: the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// `gate_not_passed`: who kept it shut.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Unready>,
    /// `invalid_config`: every mistake with its line and column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostics: Option<Box<serde_json::Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    #[serde(flatten)]
    pub actor: Actor,
    /// For how long already.
    pub seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unready {
    pub backend: String,
    pub why: String,
}

/// Stable: scripts compare it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    NoSuchService,
    NotColored,
    NoPrevious,
    /// Nothing that a link could lead to.
    NoHost,
    ServesAlready,
    Conflict,
    /// Someone moved the traffic while this one was on its way.
    Overtaken,
    GenerationConflict,
    GateNotPassed,
    NotDurable,
    /// None that an authority issues.
    NoSuchCertificate,
    /// The authority has refused, or can't be reached: `detail` has its words.
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
    /// Of a newer daemon.
    #[serde(other)]
    Unknown,
}

impl Code {
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::UnknownColor | Self::BadDuration => StatusCode::BAD_REQUEST,
            Self::NoSuchService | Self::NoSuchPath | Self::NoSuchCertificate => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict
            | Self::Overtaken
            | Self::NotColored
            | Self::NoPrevious
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

    fn of(refused: &Refused) -> Self {
        match refused {
            Refused::NoSuchService { .. } => Self::NoSuchService,
            Refused::NotColored { .. } => Self::NotColored,
            Refused::NoPrevious { .. } => Self::NoPrevious,
            Refused::ServesAlready { .. } => Self::ServesAlready,
            Refused::Overtaken { .. } | Refused::TakenBack { .. } | Refused::Replaced { .. } => Self::Overtaken,
            Refused::Conflict { .. } => Self::Conflict,
            Refused::Generation { .. } => Self::GenerationConflict,
            Refused::Gate(_) => Self::GateNotPassed,
            Refused::NotDurable { .. } | Refused::StuckAtStep { .. } => Self::NotDurable,
            Refused::ShuttingDown => Self::ShuttingDown,
        }
    }
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
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

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let mut problem = Self::new(Code::of(&refused), refused.to_string());
        match refused {
            Refused::Conflict { holder, seconds, .. } => {
                problem.holder = Some(Box::new(Holder { actor: holder, seconds }));
            }
            Refused::Generation { present, .. } => problem.generation = Some(present),
            Refused::Gate(gate) => {
                let unready = gate.unready.into_iter();
                problem.backends = unready.map(|one| Unready { backend: one.backend, why: one.why }).collect();
            }
            _ => {}
        }
        problem
    }
}

impl From<NotRenewed> for Problem {
    fn from(why: NotRenewed) -> Self {
        let code = match why {
            NotRenewed::NoSuchCertificate { .. } => Code::NoSuchCertificate,
            NotRenewed::Failed { .. } => Code::NotIssued,
            NotRenewed::Gone => Code::ShuttingDown,
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
    use crate::control::{self, GateRefused};
    use crate::types::Color;

    fn refusals() -> Vec<Refused> {
        let service = || "app".to_owned();
        let gate = GateRefused {
            service: service(),
            color: Color::Green,
            ready: 0,
            needed: 1,
            of: 1,
            waited: Duration::from_secs(1),
            unready: vec![control::Unready { backend: "green:1".into(), why: "got 503".into() }],
            forceable: true,
        };
        vec![
            Refused::NoSuchService { name: service(), known: String::new() },
            Refused::NotColored { service: service() },
            Refused::NoPrevious { service: service() },
            Refused::ServesAlready { service: service(), color: Color::Blue },
            Refused::Overtaken { service: service(), present: 8 },
            Refused::Conflict { service: service(), holder: Actor { uid: 0, user: None, pid: Some(7) }, seconds: 3 },
            Refused::Generation { service: service(), present: 8, asked: 7 },
            Refused::Gate(gate),
            Refused::NotDurable { error: "no space left on device".into() },
            Refused::StuckAtStep {
                service: service(),
                color: Color::Green,
                percent: 5,
                error: "no space left on device".into(),
            },
            Refused::Replaced { service: service() },
            Refused::TakenBack { service: service(), color: Color::Blue, present: 8 },
            Refused::ShuttingDown,
        ]
    }

    #[test]
    fn the_code_is_the_refusals_own() {
        for refused in refusals() {
            let code = serde_json::to_value(Code::of(&refused)).unwrap();
            assert_eq!(code, refused.code());
        }
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
