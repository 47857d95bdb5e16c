//! What the admin server reads and whom it asks. Made once, by the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::wire::{CaRoot, ListenerStatus};
use crate::acme;
use crate::control::{Handle, History};
use crate::listen::Admissions;
use crate::tls::CertStore;
use crate::worker::{AskWorkers, SharedState};

/// Handles on the running daemon. Cheap to clone: each request has its own.
#[derive(Clone)]
pub struct AdminState {
    pub control: Handle,
    pub shared: Arc<SharedState>,
    pub certificates: Arc<CertStore>,
    /// What is wrong with `client_ca` files now.
    pub client_ca_errors: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// The internal CA's root; one for the process's life.
    pub ca: Arc<CaRoot>,
    pub acme: acme::AcmeHandle,
    pub history: Arc<History>,
    /// What is bound now; a reload stores anew.
    pub listeners: Arc<ArcSwap<Vec<ListenerStatus>>>,
    pub admissions: Arc<Admissions>,
    /// What is in flight, by kind.
    pub census: AskWorkers,
    /// The receiver gone means that the daemon is leaving.
    pub reload: mpsc::UnboundedSender<ReloadRequest>,
    /// What `/readyz` says too.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Whether the process itself is: a pause or a maintenance is no illness to restart it for.
    pub fit: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The file that a reload rereads.
    pub config_path: Arc<PathBuf>,
    pub started: Timestamp,
}

/// Someone asked for a reload; dropping `answer` says that the daemon is leaving.
#[derive(Debug)]
pub struct ReloadRequest {
    pub answer: oneshot::Sender<Result<ReloadReport, ReloadFailed>>,
}

/// A reload that was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReloadReport {
    /// One line each: `site shop.test added`. Empty: the file says what already runs.
    pub changes: Vec<String>,
    /// Rendered, without colour.
    pub warnings: Vec<String>,
}

/// A reload that changed nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct ReloadFailed {
    /// The diagnostics rendered, without colour.
    pub text: String,
    /// The same as rows.
    pub diagnostics: serde_json::Value,
}
