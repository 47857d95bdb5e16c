//! A request of ours for a path of the app, which succeeds if the status is below 500.
//!
//! A worker asks to warm up its connection to a backend; a watch asks so that it has something to judge where few clients come.
//! Says nothing about a backend's health.

use std::rc::Rc;

use http_body_util::{BodyExt, Limited};

use super::request::OwnRequest;
use crate::config;
use crate::service::Backend;
use crate::types::show_duration;
use crate::upstream::{Lease, Speaks, Upstreams};

const USER_AGENT: &str = concat!("edgectl-warmup/", env!("CARGO_PKG_VERSION"));

/// How much of an answer is read so that its connection can be kept; of a longer one, the connection is closed.
const BODY_LIMIT: usize = 1024 * 1024;

/// Asks for `path` on a connection of its own, which is closed after it. The error is what was got instead: `got 503`,
/// `connection refused`.
pub async fn ask(
    upstreams: &Rc<Upstreams>,
    backend: &Backend,
    service: &config::ServiceConfig,
    path: &str,
) -> Result<(), String> {
    let lease = upstreams.connect(backend, service, Speaks::Any).await.map_err(|e| e.to_string())?;
    answer_to(lease, backend, service, path, false).await
}

/// Asks for `path` on this connection, which is kept for what comes next if the whole answer was read.
pub async fn ask_on(
    lease: Lease,
    backend: &Backend,
    service: &config::ServiceConfig,
    path: &str,
) -> Result<(), String> {
    answer_to(lease, backend, service, path, true).await
}

async fn answer_to(
    mut lease: Lease,
    backend: &Backend,
    service: &config::ServiceConfig,
    path: &str,
    stays: bool,
) -> Result<(), String> {
    let own = OwnRequest { path, user_agent: USER_AGENT, h2: lease.is_h2(), stays };
    let request = own.request(backend, &service.health).map_err(|e| e.to_string())?;
    let limit = service.response_timeout;
    let late = |_| format!("no answer within {}", show_duration(limit));
    let response = tokio::time::timeout(limit, lease.send(request)).await.map_err(late)?;
    let response = response.map_err(|e| format!("no HTTP answer: {}", e.error))?;
    let status = response.status().as_u16();
    if status >= 500 {
        return Err(format!("got {status}"));
    }
    let body = Limited::new(response.into_body(), BODY_LIMIT).collect();
    let has_ended = tokio::time::timeout(limit, body).await.is_ok_and(|read| read.is_ok());
    if stays && has_ended {
        lease.release();
    }
    Ok(())
}
