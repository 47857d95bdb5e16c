//! One core's connection to one backend, open before a client needs it, and the backend's own caches filled on the way.
//!
//! What is opened here is left to the core's traffic: an idle connection belongs to the core that made it.

use std::rc::Rc;
use std::sync::Arc;

use http_body_util::{BodyExt, Limited};

use super::request::Own;
use crate::config;
use crate::service::Backend;
use crate::types::show_duration;
use crate::upstream::{Lease, Upstreams};

const USER_AGENT: &str = concat!("edgectl-warmup/", env!("CARGO_PKG_VERSION"));

/// How much of an answer is read so that its connection can be kept; of a longer one, the connection is closed.
const BODY_LIMIT: usize = 1024 * 1024;

/// What a core is to do towards one backend.
#[derive(Debug, Clone)]
pub struct WarmUp {
    pub backend: Arc<Backend>,
    pub service: Arc<config::Service>,
    /// Asked for on the connection; `None`: it is opened and left at that.
    pub path: Option<String>,
}

impl WarmUp {
    /// Within the times to connect, for the head and for the body; the error is what was got instead: `got 503`, `connection refused`.
    pub async fn run(&self, upstreams: &Rc<Upstreams>) -> Result<(), String> {
        let lease = match upstreams.reuse(&self.backend) {
            Some(lease) => lease,
            None => upstreams.connect(&self.backend, &self.service).await.map_err(|e| e.to_string())?,
        };
        let Some(path) = &self.path else {
            lease.release();
            return Ok(());
        };
        answer_to(lease, &self.backend, &self.service, path, true).await
    }
}

/// The same question on a connection of its own, which is closed after it: whether `path` is answered below 500.
pub async fn ask(
    upstreams: &Rc<Upstreams>,
    backend: &Backend,
    service: &config::Service,
    path: &str,
) -> Result<(), String> {
    let lease = upstreams.connect(backend, service).await.map_err(|e| e.to_string())?;
    answer_to(lease, backend, service, path, false).await
}

async fn answer_to(
    mut lease: Lease,
    backend: &Backend,
    service: &config::Service,
    path: &str,
    stays: bool,
) -> Result<(), String> {
    let own = Own { path, user_agent: USER_AGENT, h2: lease.is_h2(), stays };
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
