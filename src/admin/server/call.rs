//! One request on a service as it came over the socket: for which service, with which body, from which process.

use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, FromRequest, Path, Request};
use axum::http::{HeaderMap, header};

use super::caller::Caller;
use crate::admin::state::AdminState;
use crate::admin::wire::{NDJSON, Problem, ProblemCode, VerbBody};

/// A `POST /v1/services/NAME/VERB` with a body that fits the verb.
pub struct Call<B> {
    pub service: String,
    pub body: B,
    pub caller: Caller,
    /// The client asked for every step as it happens.
    pub streams: bool,
}

impl<B: VerbBody> FromRequest<AdminState> for Call<B> {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &AdminState) -> Result<Self, Problem> {
        let Path(service) = request.extract_parts::<Path<String>>().await.map_err(|e| bad(e.body_text()))?;
        let ConnectInfo(caller) =
            request.extract_parts::<ConnectInfo<Caller>>().await.map_err(|e| bad(e.body_text()))?;
        let streams = wants_steps(request.headers());
        let body = Bytes::from_request(request, state).await.map_err(|rejected| unread(&rejected))?;
        Ok(Self { service, body: parse(&body)?, caller, streams })
    }
}

/// A refusal of what was sent.
pub fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::BadRequest, detail)
}

fn wants_steps(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|kind| kind.split(';').next().is_some_and(|k| k.trim() == NDJSON))
}

fn unread(rejected: &BytesRejection) -> Problem {
    let code = if rejected.status() == ProblemCode::BodyTooLarge.status() {
        ProblemCode::BodyTooLarge
    } else {
        ProblemCode::BadRequest
    };
    Problem::new(code, format!("the body could not be read: {}", rejected.body_text().to_lowercase()))
}

fn parse<B: VerbBody>(body: &[u8]) -> Result<B, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(B::default());
    }
    let unfit = |error| bad(format!("the body is not what {} takes: {error}", B::VERB.as_str()));
    // By way of an object: a struct can be read from a list too, and that is not our JSON.
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).map_err(unfit)?;
    serde_json::from_value(fields.into()).map_err(unfit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::wire::{ResumeBody, SwitchBody};

    #[test]
    fn a_field_that_a_verb_does_not_take_is_refused_with_those_it_takes() {
        let detail = parse::<ResumeBody>(br#"{"message":"x"}"#).unwrap_err().detail;
        assert_eq!(
            detail,
            "the body is not what resume takes: unknown field `message`, expected `if_generation` or `reason`"
        );
        for body in [r#"["green"]"#, r#"{"color":5}"#, "{"] {
            assert_eq!(parse::<SwitchBody>(body.as_bytes()).unwrap_err().code, ProblemCode::BadRequest, "{body}");
        }
        assert_eq!(parse::<SwitchBody>(b" \n").unwrap(), SwitchBody::default());
    }
}
