//! Why an attempt has failed: in words for people, and as a kind that says how soon another makes sense.

use std::time::{Instant, SystemTime};

use instant_acme::{Error, Problem};
use serde::{Deserialize, Serialize};

use super::http::{NoAcmeAnswer, Refusal};
use crate::acme::text::{chain, one_line};

/// One failed attempt.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct AcmeFailure {
    pub kind: FailureKind,
    /// Of an ACME problem: what follows `urn:ietf:params:acme:error:`.
    pub problem: Option<String>,
    pub text: String,
    /// When to come back, if the authority said so.
    pub retry_after: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No answer, or one that makes no sense: the fault is the authority's.
    Unreachable,
    RateLimited,
    /// The authority looked and did not find what it should.
    Validation,
    /// The authority refuses, whatever it is shown.
    Refused,
    /// The hook, the disk or `ca_file`: the fault is on this side.
    Local,
    /// A name that does not resolve from here either.
    Unresolved,
}

impl AcmeFailure {
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, problem: None, text: text.into(), retry_after: None }
    }

    pub fn local(what: &str, error: impl std::fmt::Display) -> Self {
        Self::new(FailureKind::Local, format!("{what}: {error}"))
    }

    /// What the library says, with what the HTTP client saw below it.
    pub fn of(error: &Error, refusal: Option<Refusal>) -> Self {
        let (status, retry_after) = refusal.map_or((None, None), |seen| (Some(seen.status), seen.retry_after));
        match error {
            Error::Api(problem) => {
                let status = problem.status.or(status).unwrap_or_default();
                let short = short_type(problem);
                let kind = match short.as_deref() {
                    Some("rateLimited") => FailureKind::RateLimited,
                    Some("serverInternal" | "badNonce") => FailureKind::Unreachable,
                    _ if status == 429 => FailureKind::RateLimited,
                    _ if status >= 500 => FailureKind::Unreachable,
                    _ => FailureKind::Refused,
                };
                Self { kind, text: describe(problem, status), problem: short, retry_after }
            }
            Error::Timeout(again) => {
                let said = again.map(|again| SystemTime::now() + again.saturating_duration_since(Instant::now()));
                Self { retry_after: said, ..Self::new(FailureKind::Unreachable, "the authority takes too long") }
            }
            Error::Json(error) => {
                Self::new(FailureKind::Unreachable, format!("the authority's answer makes no sense: {error}"))
            }
            Error::Unsupported(what) => Self::new(FailureKind::Refused, format!("the authority does not know {what}")),
            Error::Other(other) if other.is::<NoAcmeAnswer>() => {
                let kind = if status == Some(429) { FailureKind::RateLimited } else { FailureKind::Unreachable };
                Self { retry_after, ..Self::new(kind, other.to_string()) }
            }
            other => Self { retry_after, ..Self::new(FailureKind::Unreachable, chain(other)) },
        }
    }
}

fn short_type(problem: &Problem) -> Option<String> {
    let full = problem.r#type.as_deref()?;
    Some(full.rsplit_once(':').map_or(full, |(_, short)| short).to_owned())
}

/// `unauthorized: no such token; for a.example.com: dns: no address`.
pub fn describe(problem: &Problem, status: u16) -> String {
    let kind = short_type(problem).unwrap_or_else(|| format!("status {status}"));
    let mut text = match &problem.detail {
        Some(detail) => format!("{kind}: {}", one_line(detail)),
        None => kind,
    };
    for part in &problem.subproblems {
        text += &format!("; {}", one_line(&part.to_string()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn api(json: &str) -> AcmeFailure {
        AcmeFailure::of(&Error::Api(serde_json::from_str(json).unwrap()), None)
    }

    #[test]
    fn a_problem_says_what_and_how_soon_to_come_back() {
        let limited = api(
            r#"{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many\ncertificates", "status": 429}"#,
        );
        assert_eq!(
            (limited.kind, limited.text.as_str()),
            (FailureKind::RateLimited, "rateLimited: too many certificates")
        );
        assert_eq!(api(r#"{"status": 503}"#).kind, FailureKind::Unreachable);
        let refused = api(r#"{"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "no"}"#);
        assert_eq!((refused.kind, refused.problem.as_deref()), (FailureKind::Refused, Some("rejectedIdentifier")));
        let hour = Duration::from_hours(1);
        let busy = AcmeFailure::of(&Error::Timeout(Some(Instant::now() + hour)), None);
        assert!(busy.retry_after.unwrap() > SystemTime::now() + hour / 2, "an order that is still worked at");
    }
}
