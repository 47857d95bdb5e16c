//! One worker's connection to one backend, open before a client needs it, and the backend's own caches filled on the way.
//!
//! What is opened here is left to the worker's traffic: an idle connection belongs to the worker that made it. Which worker
//! asks for what is decided in `control`.

use std::rc::Rc;
use std::sync::Arc;

use crate::config;
use crate::health::ask_on;
use crate::service::Backend;
use crate::upstream::{Speaks, Upstreams};

/// What a worker is to do towards one backend.
#[derive(Debug, Clone)]
pub struct WarmUp {
    pub backend: Arc<Backend>,
    pub service: Arc<config::ServiceConfig>,
    /// Asked for on the connection; `None`: it is opened and left at that.
    pub path: Option<String>,
}

impl WarmUp {
    /// Within the times to connect, for the head and for the body; the error is what was got instead: `got 503`, `connection refused`.
    pub(super) async fn run(&self, upstreams: &Rc<Upstreams>) -> Result<(), String> {
        let lease = match upstreams.reuse(&self.backend, &self.service, Speaks::Any) {
            Some(lease) => lease,
            None => {
                let descriptor = upstreams.descriptor(&self.service, || 0).await.map_err(|e| e.to_string())?;
                let connecting = upstreams.connect_counted(&self.backend, &self.service, Speaks::Any, descriptor);
                connecting.await.map_err(|e| e.to_string())?
            }
        };
        match &self.path {
            Some(path) => ask_on(lease, &self.backend, &self.service, path).await,
            None => {
                lease.release();
                Ok(())
            }
        }
    }
}
