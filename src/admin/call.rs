//! One operation as it came over the socket: which service, asked by whom, answered how. The only place that doubts it.

use std::time::Duration;

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, Path, Request};
use axum::http::{HeaderMap, header};

use super::problem::{Code, Problem};
use super::server::Caller;
use super::state::AdminState;
use super::stream::NDJSON;
use super::wire::Ask;
use crate::control::{self, Goal};
use crate::types::{Color, parse_duration};

/// A `POST /v1/services/NAME/...` whose body was understood.
pub(super) struct Call {
    pub service: String,
    pub ask: Ask,
    pub caller: Caller,
    /// The client asked for every step as it happens.
    pub streams: bool,
}

impl FromRequest<AdminState> for Call {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &AdminState) -> Result<Self, Problem> {
        let bad = |error: String| Problem::new(Code::BadRequest, error);
        let Path(service) = request.extract_parts::<Path<String>>().await.map_err(|e| bad(e.body_text()))?;
        let ConnectInfo(caller) =
            request.extract_parts::<ConnectInfo<Caller>>().await.map_err(|e| bad(e.body_text()))?;
        let streams = wants_steps(request.headers());
        let body = Bytes::from_request(request, state).await.map_err(|rejected| unread(&rejected))?;
        Ok(Self { service, ask: parse(&body)?, caller, streams })
    }
}

impl Call {
    /// The colour asked for.
    pub fn color(&self) -> Result<Color, Problem> {
        let Some(color) = &self.ask.color else {
            let detail = "no colour is given; send {\"color\": \"blue\"} or {\"color\": \"green\"}";
            return Err(Problem::new(Code::UnknownColor, detail));
        };
        color.parse().map_err(|error: crate::types::Invalid| Problem::new(Code::UnknownColor, error.to_string()))
    }

    /// What control is to do.
    pub fn request(self, goal: Goal) -> Result<control::Request, Problem> {
        let ask = self.ask;
        if ask.watch.is_some() {
            return Err(Problem::new(Code::NotBuilt, "`watch` is not built yet; nothing was changed"));
        }
        if goal == Goal::Previous && ask.color.is_some() {
            let detail = "a rollback goes to the previous colour; leave \"color\" out, or use switch";
            return Err(Problem::new(Code::BadRequest, detail));
        }
        Ok(control::Request {
            service: self.service,
            goal,
            actor: self.caller.actor(),
            reason: ask.reason,
            timeout: duration("timeout", ask.timeout.as_deref())?,
            drain: duration("drain", ask.drain.as_deref())?,
            force: ask.force,
            wait: ask.wait,
            if_generation: ask.if_generation,
        })
    }
}

fn wants_steps(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|kind| kind.split(';').next().is_some_and(|k| k.trim() == NDJSON))
}

fn unread(rejected: &axum::extract::rejection::BytesRejection) -> Problem {
    let code = if rejected.status() == Code::BodyTooLarge.status() { Code::BodyTooLarge } else { Code::BadRequest };
    Problem::new(code, format!("the body could not be read: {}", rejected.body_text().to_lowercase()))
}

fn parse(body: &[u8]) -> Result<Ask, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Ask::default());
    }
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(Code::BadRequest, format!("the body is not what is expected here: {error}")))
}

fn duration(field: &str, text: Option<&str>) -> Result<Option<Duration>, Problem> {
    let parsed = text.map(parse_duration).transpose();
    parsed.map_err(|error| Problem::new(Code::BadDuration, format!("{field}: {error}")))
}
