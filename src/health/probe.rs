//! One probe: connect, ask, look at the status and, where asked, at the head and the body.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::request::OwnRequest;
use crate::config::{self, HealthConfig};
use crate::service::{Backend, Probe, ProbeOutcome};
use crate::types::{Color, show_duration};
use crate::upstream::{ConnectError, Speaks, Upstreams};

const USER_AGENT: &str = concat!("edgectl-health/", env!("CARGO_PKG_VERSION"));

/// How much of an answer's body is looked at.
const BODY_LIMIT: usize = 256 * 1024;

/// How much of what a backend says of itself is repeated in an outcome.
const QUOTED: usize = 120;

/// Asks a backend of this colour on a new connection, within `health.timeout` in all. Never fails: what went wrong is the outcome.
pub async fn probe(
    upstreams: &Rc<Upstreams>,
    backend: &Backend,
    color: Option<Color>,
    service: &config::ServiceConfig,
) -> Probe {
    let (at, started) = (SystemTime::now(), Instant::now());
    let limit = service.health.timeout;
    let outcome = match tokio::time::timeout(limit, ask(upstreams, backend, color, service)).await {
        Ok(Ok(())) => ProbeOutcome::Passed,
        Ok(Err(outcome)) => outcome,
        Err(_) => ProbeOutcome::Failed(format!("no answer within {}", show_duration(limit))),
    };
    Probe { at, took: started.elapsed(), outcome }
}

async fn ask(
    upstreams: &Rc<Upstreams>,
    backend: &Backend,
    color: Option<Color>,
    service: &config::ServiceConfig,
) -> Result<(), ProbeOutcome> {
    let mut lease = upstreams.connect(backend, service, Speaks::Any).await.map_err(|error| match error {
        ConnectError::Refused(_) => ProbeOutcome::Refused(error.to_string()),
        ConnectError::OutOfDescriptors(_) => ProbeOutcome::NotAsked(error.to_string()),
        ConnectError::Timeout(_) | ConnectError::Failed(_) => ProbeOutcome::Failed(error.to_string()),
    })?;
    let own = OwnRequest { path: &service.health.path, user_agent: USER_AGENT, h2: lease.is_h2(), stays: false };
    let request = own.request(backend, &service.health).map_err(|e| ProbeOutcome::Failed(e.to_string()))?;
    let response = lease.send(request).await;
    let response = response.map_err(|e| ProbeOutcome::Failed(format!("no HTTP answer: {}", e.error)))?;
    judge(response, &service.health, color).await
}

async fn judge(response: Response<Incoming>, health: &HealthConfig, color: Option<Color>) -> Result<(), ProbeOutcome> {
    let status = response.status().as_u16();
    if !health.status.iter().any(|class| (class.first..=class.last).contains(&status)) {
        return Err(ProbeOutcome::Status(status, status_text(status, response.headers())));
    }
    let failed = |what: String| Err(ProbeOutcome::Failed(format!("got {status}, but {what}")));
    if let Some(what) = wrong_field(response.headers(), health, color) {
        return failed(what);
    }
    if health.body.is_empty() {
        return Ok(());
    }
    let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
    let body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) => return failed(format!("its body broke off: {error}")),
    };
    let wanted = of_color(&health.body, color);
    let found = body.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    if found { Ok(()) } else { failed(format!("its body does not contain {wanted:?}")) }
}

/// What is wrong with the head of an answer; `None`: nothing.
fn wrong_field(headers: &HeaderMap, health: &HealthConfig, color: Option<Color>) -> Option<String> {
    health.expect_header.iter().find_map(|(name, expected)| {
        let expected = of_color(expected, color);
        let found = headers.get_all(name);
        if found.iter().any(|value| value.as_bytes() == expected.as_bytes()) {
            return None;
        }
        Some(match found.iter().next() {
            Some(value) => format!("its {name} is {}, not {expected:?}", quoted(value)),
            None => format!("it has no {name}: {expected:?} was expected"),
        })
    })
}

fn of_color(text: &str, color: Option<Color>) -> Cow<'_, str> {
    match color {
        Some(color) if text.contains(HealthConfig::COLOR) => text.replace(HealthConfig::COLOR, color.as_str()).into(),
        _ => text.into(),
    }
}

fn status_text(status: u16, headers: &HeaderMap) -> String {
    match headers.get(header::LOCATION).filter(|_| (300..400).contains(&status)) {
        Some(location) => format!("got {status} to {}", quoted(location)),
        None => format!("got {status}"),
    }
}

/// In quotes, on one line, and not at any length.
fn quoted(value: &http::HeaderValue) -> String {
    let text: String = String::from_utf8_lossy(value.as_bytes()).chars().take(QUOTED).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn health(expect: &[(&'static str, &str)]) -> HealthConfig {
        let text = "[[site]]\nhosts = [\"app.test\"]\nservice = \"app\"\n[service.app]\nbackends = [\"127.0.0.1:1\"]";
        let loaded = config::parse("edge.toml", text, &|_| None).unwrap();
        let expect_header = expect.iter().map(|(name, value)| (name.parse().unwrap(), (*value).to_owned())).collect();
        HealthConfig { expect_header, ..loaded.config.services["app"].health.clone() }
    }

    #[test]
    fn a_field_that_is_missing_or_of_the_other_colour_is_named() {
        let health = health(&[("x-color", "$color"), ("x-app", "shop")]);
        let said = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            wrong_field(&headers, &health, Some(Color::Blue))
        };
        assert_eq!(said(&[("x-color", "blue"), ("x-app", "shop")]), None);
        assert_eq!(said(&[("x-color", "green"), ("x-color", "blue"), ("x-app", "shop")]), None);
        assert_eq!(said(&[("x-color", "green")]).unwrap(), "its x-color is \"green\", not \"blue\"");
        assert_eq!(said(&[("x-color", "blue")]).unwrap(), "it has no x-app: \"shop\" was expected");
    }

    #[test]
    fn a_redirect_says_where_it_leads_in_a_few_words() {
        let mut headers = HeaderMap::new();
        assert_eq!(status_text(301, &headers), "got 301");
        headers.insert(header::LOCATION, HeaderValue::from_static("https://app-blue:8000/health/"));
        assert_eq!(status_text(301, &headers), "got 301 to \"https://app-blue:8000/health/\"");
        assert_eq!(status_text(503, &headers), "got 503");
        headers.insert(header::LOCATION, HeaderValue::from_str(&"x".repeat(4000)).unwrap());
        assert!(status_text(302, &headers).len() < 200);
    }
}
