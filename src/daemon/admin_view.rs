//! What the admin socket is shown of the daemon, and the reloads that it asks for.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::reload::{NOTHING, NotReloaded};
use super::running::Daemon;
use crate::admin::wire::{CaRoot, ListenerStatus};
use crate::admin::{AdminState, ReloadFailed, ReloadReport, ReloadRequest};

impl Daemon {
    /// Answers on the admin socket until the control runtime ends; reloads are asked for on what it returns.
    pub fn open_admin(&self) -> mpsc::UnboundedReceiver<ReloadRequest> {
        let (reload, asked) = mpsc::unbounded_channel();
        let (ready, fit) = (self.readiness(), self.fitness());
        let state = AdminState {
            control: self.handle.clone(),
            shared: self.shared.clone(),
            certificates: self.certificates.clone(),
            ca: Arc::new(self.ca_root()),
            acme: self.acme.handle(),
            history: self.history.clone(),
            listeners: self.listener_view.clone(),
            admissions: self.admissions.clone(),
            workers: self.workers.orders().clone(),
            reload,
            ready: Arc::new(move || ready().is_ok()),
            fit: Arc::new(move || fit().is_ok()),
            config_path: Arc::new(self.config_path.clone()),
            config_on_disk: self.config_on_disk.clone(),
            started: self.started_at,
        };
        self.admin.open(state);
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
            Ok(done) => {
                let mut changes = self.taken_up.borrow_mut().tell();
                let is_all = |change: &&String| changes.is_empty() || *change != NOTHING;
                let now: Vec<_> = done.changes.iter().filter(is_all).cloned().collect();
                changes.extend(now);
                Ok(ReloadReport { changes, warnings: done.warnings })
            }
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
