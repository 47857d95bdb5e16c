//! Handles on all that the admin server reads and asks. Made once, by the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::wire::{CaRoot, ConfigOnDisk, ListenerStatus};
use crate::acme;
use crate::control::{History, OperatorHandle};
use crate::listen::Admissions;
use crate::tls::CertStore;
use crate::worker::{Orders, SharedState};

/// Handles on the running daemon. Cheap to clone: each request has its own.
#[derive(Clone)]
pub struct AdminState {
    pub control: OperatorHandle,
    pub shared: Arc<SharedState>,
    pub certificates: Arc<CertStore>,
    /// The internal CA's root; one for the process's life.
    pub ca: Arc<CaRoot>,
    pub acme: acme::AcmeHandle,
    pub history: Arc<History>,
    /// What is bound now; a reload replaces it.
    pub listeners: Arc<ArcSwap<Vec<ListenerStatus>>>,
    pub admissions: Arc<Admissions>,
    /// What is in flight, by kind.
    pub workers: Orders,
    /// When the receiver is gone, the daemon is leaving.
    pub reload: mpsc::UnboundedSender<ReloadRequest>,
    /// The same that `/readyz` answers.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Whether the process itself is able to serve. A pause or maintenance is no reason to restart it.
    pub fit: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The file that a reload reads.
    pub config_path: Arc<PathBuf>,
    /// Whether it says what runs; each reload replaces it.
    pub config_on_disk: Arc<ArcSwap<ConfigOnDisk>>,
    pub started: Timestamp,
}

/// A request to reload. Dropping `answer` means that the daemon is leaving.
#[derive(Debug)]
pub struct ReloadRequest {
    pub answer: oneshot::Sender<Result<ReloadReport, ReloadFailed>>,
}

/// A reload that was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ReloadReport {
    /// One line each: `site shop.test added`. Empty when the file changes nothing.
    pub changes: Vec<String>,
    /// Rendered, without terminal colours.
    pub warnings: Vec<String>,
}

/// A reload that changed nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct ReloadFailed {
    /// The rendered diagnostics, without terminal colours.
    pub text: String,
    /// The same as rows.
    pub diagnostics: serde_json::Value,
}
