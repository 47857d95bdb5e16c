//! The admin socket's place in the daemon: what it is shown, and the reloads it asks for.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;
use std::{fs, io};

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::reload::{NotReloaded, Reloaded};
use super::world::{World, ask_workers};
use crate::admin::wire::{CaRoot, ListenerStatus};
use crate::admin::{self, AdminState, ReloadFailed, ReloadReport, ReloadRequest};

/// The admin socket of this process, whatever the config says since.
pub(super) struct AdminSocket {
    path: PathBuf,
    /// Bound, and nobody answers yet.
    bound: Cell<Option<UnixListener>>,
    /// What is shown there, once somebody answers.
    state: RefCell<Option<AdminState>>,
}

impl AdminSocket {
    pub fn new(path: &Path, bound: UnixListener) -> Self {
        Self { path: path.to_owned(), bound: Cell::new(Some(bound)), state: RefCell::default() }
    }

    /// Made again where somebody has removed it: without it nothing is switched before the next start.
    pub fn keep(&self) {
        let is_gone = matches!(self.path.symlink_metadata(), Err(error) if error.kind() == io::ErrorKind::NotFound);
        let (true, Some(state)) = (is_gone, self.state.borrow().clone()) else { return };
        match admin::bind(&self.path) {
            Ok(listener) => {
                tracing::warn!(path = %self.path.display(), "the admin socket was removed, and is made again");
                answer(listener, state);
            }
            Err(error) => tracing::error!(%error, "the admin socket was removed"),
        }
    }

    pub fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Ends with the control runtime: an operation that runs then goes on in no one's name.
fn answer(listener: UnixListener, state: AdminState) {
    tokio::spawn(async move {
        if let Err(error) = admin::serve(listener, state, std::future::pending()).await {
            tracing::error!(%error, "the admin socket has stopped");
        }
    });
}

impl World {
    /// Answers on the admin socket until the control runtime ends; reloads are asked for on what it returns.
    pub fn open_admin(&self) -> mpsc::UnboundedReceiver<ReloadRequest> {
        let (reload, asked) = mpsc::unbounded_channel();
        let (ready, fit) = (self.readiness(), self.fitness());
        let tls = self.tls.clone();
        let state = AdminState {
            control: self.handle.clone(),
            shared: self.shared.clone(),
            certificates: self.certificates.clone(),
            client_ca_errors: Arc::new(move || tls.troubles()),
            ca: Arc::new(self.ca_root()),
            acme: self.acme.handle(),
            history: self.history.clone(),
            listeners: self.listener_view.clone(),
            admissions: self.admissions.clone(),
            census: ask_workers(self.workers.orders()),
            reload,
            ready: Arc::new(move || ready().is_ok()),
            fit: Arc::new(move || fit().is_ok()),
            config_path: Arc::new(self.config_path.clone()),
            started: self.started_at,
        };
        self.admin.state.replace(Some(state.clone()));
        if let Some(listener) = self.admin.bound.take() {
            answer(listener, state);
        }
        asked
    }

    fn ca_root(&self) -> CaRoot {
        let root = self.certificates.ca_root();
        let not_after = root.not_after.and_then(|since| Timestamp::try_from(SystemTime::UNIX_EPOCH + since).ok());
        CaRoot { pem: root.pem, sha256: root.sha256, not_after, constrained: root.constrained }
    }

    /// A reload that the admin socket asks for.
    pub async fn reload_for(self: &Rc<Self>, request: ReloadRequest) {
        let answer = match self.reload("asked for").await {
            Ok(Reloaded { changes, warnings }) => Ok(ReloadReport { changes, warnings }),
            Err(NotReloaded::Config(diagnostics)) => Err(ReloadFailed {
                text: diagnostics.render(false),
                diagnostics: serde_json::to_value(&diagnostics).unwrap_or_default(),
            }),
            Err(NotReloaded::Failed(text)) => Err(ReloadFailed { text, diagnostics: serde_json::Value::Null }),
        };
        let _ = request.answer.send(answer);
    }

    /// What `edgectl status` says about sockets.
    pub fn show_listeners(&self) {
        let open = self.listeners.open();
        let view = open.iter().map(|listener| ListenerStatus {
            addr: listener.addr.to_string(),
            local: listener.local,
            tls: listener.tls,
        });
        self.listener_view.store(Arc::new(view.collect()));
    }
}
