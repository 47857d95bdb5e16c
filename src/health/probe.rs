//! One probe: connect, ask, look at the status and, where asked, at the body.

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use http::Response;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::request::OwnRequest;
use crate::config;
use crate::service::{Backend, Probe, ProbeOutcome};
use crate::types::show_duration;
use crate::upstream::{ConnectError, Lease, Upstreams};

const USER_AGENT: &str = concat!("edgectl-health/", env!("CARGO_PKG_VERSION"));

/// How much of an answer's body is looked at.
const BODY_LIMIT: usize = 256 * 1024;

/// Asks a backend on a new connection, within `health.timeout` in all. Never fails: what went wrong is the outcome.
pub async fn probe(upstreams: &Rc<Upstreams>, backend: &Backend, service: &config::ServiceConfig) -> Probe {
    let (at, started) = (SystemTime::now(), Instant::now());
    let limit = service.health.timeout;
    let outcome = match tokio::time::timeout(limit, ask(upstreams, backend, service)).await {
        Ok(Ok(())) => ProbeOutcome::Passed,
        Ok(Err(outcome)) => outcome,
        Err(_) => ProbeOutcome::Failed(format!("no answer within {}", show_duration(limit))),
    };
    Probe { at, took: started.elapsed(), outcome }
}

async fn ask(
    upstreams: &Rc<Upstreams>,
    backend: &Backend,
    service: &config::ServiceConfig,
) -> Result<(), ProbeOutcome> {
    let lease = upstreams.connect(backend, service).await.map_err(not_connected)?;
    ask_on(lease, backend, service).await.map_err(ProbeOutcome::Failed)
}

fn not_connected(error: ConnectError) -> ProbeOutcome {
    match error {
        ConnectError::OutOfDescriptors(_) => ProbeOutcome::NotAsked(error.to_string()),
        ConnectError::Timeout(_) | ConnectError::Failed(_) => ProbeOutcome::Failed(error.to_string()),
    }
}

async fn ask_on(mut lease: Lease, backend: &Backend, service: &config::ServiceConfig) -> Result<(), String> {
    let own = OwnRequest { path: &service.health.path, user_agent: USER_AGENT, h2: lease.is_h2(), stays: false };
    let request = own.request(backend, &service.health).map_err(|e| e.to_string())?;
    let response = lease.send(request).await.map_err(|e| format!("no HTTP answer: {}", e.error))?;
    judge(response, &service.health).await
}

async fn judge(response: Response<Incoming>, health: &config::HealthConfig) -> Result<(), String> {
    let status = response.status().as_u16();
    if !health.status.iter().any(|class| (class.first..=class.last).contains(&status)) {
        return Err(format!("got {status}"));
    }
    if health.body.is_empty() {
        return Ok(());
    }
    let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
    let body = body.map_err(|e| format!("got {status}, then its body broke off: {e}"))?.to_bytes();
    let wanted = health.body.as_bytes();
    let found = body.windows(wanted.len()).any(|part| part == wanted);
    if found { Ok(()) } else { Err(format!("got {status}, but its body does not contain {:?}", health.body)) }
}
