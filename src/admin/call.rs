//! One operation as it came over the socket: which service, asked by whom, answered how. The only place that doubts it.

use std::net::IpAddr;
use std::time::Duration;

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, FromRequest, Path, Request};
use axum::http::{HeaderMap, header};
use ipnet::IpNet;

use super::problem::{Code, Problem};
use super::server::Caller;
use super::state::AdminState;
use super::stream::NDJSON;
use super::wire::Ask;
use crate::control::{self, Goal, Options};
use crate::types::{Color, parse_duration};

/// How long a pause holds one request unless said otherwise.
const HELD: Duration = Duration::from_secs(30);

/// No client waits longer.
const LONGEST_HELD: Duration = Duration::from_mins(10);

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
        let verb = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let streams = wants_steps(request.headers());
        let body = Bytes::from_request(request, state).await.map_err(|rejected| unread(&rejected))?;
        Ok(Self { service, ask: parse(&verb, &body)?, caller, streams })
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
        if ask.step_time.is_some() && ask.steps.is_empty() {
            return Err(bad("step_time is how long each of the steps is watched: send steps, such as [5, 25, 50]"));
        }
        Ok(control::Request {
            service: self.service,
            goal,
            actor: self.caller.actor(),
            reason: ask.reason,
            if_generation: ask.if_generation,
            options: Options {
                timeout: duration("timeout", ask.timeout.as_deref())?,
                drain: duration("drain", ask.drain.as_deref())?,
                watch: duration("watch", ask.watch.as_deref())?,
                steps: steps(ask.steps)?,
                step_time: duration("step_time", ask.step_time.as_deref())?,
                force: ask.force,
                wait: ask.wait,
            },
        })
    }

    pub fn canary(&self) -> Result<Goal, Problem> {
        match (self.ask.off, self.ask.percent) {
            (true, None) if self.ask.timeout.is_some() => {
                Err(bad("the end of a canary passes no gate: timeout is for its start"))
            }
            (false, Some(_)) if self.ask.drain.is_some() || !self.ask.wait => {
                Err(bad("drain and wait are for the end of a canary, `canary off`: its start drains nothing"))
            }
            (true, None) if self.ask.color.is_none() => Ok(Goal::CanaryOff),
            (false, Some(percent @ 0..=100)) => Ok(Goal::Canary { color: self.color()?, percent }),
            (false, Some(percent)) => Err(bad(format!("{percent} is not a share in per cent, 0 to 100"))),
            _ => Err(bad("send {\"color\": \"green\", \"percent\": 5}, or {\"off\": true}")),
        }
    }

    pub fn pause(&self) -> Result<Goal, Problem> {
        let max = duration("max", self.ask.max.as_deref())?.unwrap_or(HELD);
        if max.is_zero() || max > LONGEST_HELD {
            return Err(bad("max is how long a request is held: longer than 0 and at most 10m"));
        }
        Ok(Goal::Pause { max })
    }

    pub fn maintenance(&self) -> Result<Goal, Problem> {
        if self.ask.off {
            return Ok(Goal::MaintenanceOff);
        }
        let allow = self.ask.allow.iter().map(|net| network(net)).collect::<Result<_, _>>()?;
        Ok(Goal::MaintenanceOn { message: self.ask.message.clone(), allow })
    }
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BadRequest, detail)
}

/// Each larger than the one before, all below the whole.
fn steps(steps: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let grow = steps.windows(2).all(|pair| pair[0] < pair[1]);
    if grow && steps.iter().all(|percent| (1..=99).contains(percent)) {
        return Ok(steps);
    }
    Err(bad("steps are shares in per cent from 1 to 99, each larger than the one before: [5, 25, 50]"))
}

/// `192.0.2.0/24`, or one address.
fn network(text: &str) -> Result<IpNet, Problem> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).map_err(|_| bad(format!("{text:?} is not an address or a network")))
}

fn wants_steps(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|kind| kind.split(';').next().is_some_and(|k| k.trim() == NDJSON))
}

fn unread(rejected: &axum::extract::rejection::BytesRejection) -> Problem {
    let code = if rejected.status() == Code::BodyTooLarge.status() { Code::BodyTooLarge } else { Code::BadRequest };
    Problem::new(code, format!("the body could not be read: {}", rejected.body_text().to_lowercase()))
}

fn parse(verb: &str, body: &[u8]) -> Result<Ask, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(Ask::default());
    }
    let unexpected = |error| bad(format!("the body is not what is expected here: {error}"));
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).map_err(unexpected)?;
    let known = Ask::fields(verb);
    if let Some(other) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(bad(format!("{other:?} is nothing that {verb} takes; it takes {}", known.join(", "))));
    }
    serde_json::from_value(fields.into()).map_err(unexpected)
}

fn duration(field: &str, text: Option<&str>) -> Result<Option<Duration>, Problem> {
    let parsed = text.map(parse_duration).transpose();
    parsed.map_err(|error| Problem::new(Code::BadDuration, format!("{field}: {error}")))
}
