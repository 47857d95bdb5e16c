//! The files that the config names, when they change without it: what is new in them is taken up, and noted for whoever asks for the
//! next reload. How it is noticed that they may have changed: [`super::filewatch`].

use std::convert::Infallible;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::filewatch::{fingerprint, fingerprints, named_files};
use super::running::Daemon;
use super::services::added;
use crate::config::ServiceConfig;
use crate::control::StateFile;
use crate::snapshot::Snapshot;
use crate::trust::RootSets;

impl Daemon {
    /// Files may have changed: takes up what really differs.
    pub async fn files_changed(self: &Rc<Self>) {
        // First the watch, then the content: a folder that was made anew may be filled between the two.
        self.follow_files();
        let config = self.shared.snapshot.load().config.clone();
        let named = fingerprints(named_files(&config, &self.config_files.borrow()));
        let changed = self.fingerprints.borrow().changed(&named);
        let has_new_file = self.config_files.borrow().iter().any(|file| changed.contains(file));
        if has_new_file || fingerprint(&self.config_path) != self.fingerprints.borrow().config {
            if let Ok(done) = self.reload("the file changed").await {
                self.taken_up.borrow_mut().note(&done.files);
            }
            return;
        }
        self.fingerprints.borrow_mut().named = named;
        if changed.is_empty() {
            return;
        }
        let roots = config.acme.ca_file.iter().filter(|roots| changed.contains(roots));
        self.take_up(roots.map(|roots| format!("acme.ca_file {} changed", roots.display())).collect()).await;
    }

    /// Reads all files anew besides the config and what belongs to it. What can't be used is said where it is read. `known`: what has
    /// changed that nothing has to be done about.
    pub async fn take_up(&self, known: Vec<String>) {
        let mut changes = known;
        changes.extend(self.renew_certificates().iter().map(|cert| format!("certificate {} changed", cert.display())));
        changes.extend(self.renew_roots().await);
        self.acme.reopen_accounts();
        if !changes.is_empty() {
            tracing::info!(changes = changes.join("; "), "certificates taken up");
            self.taken_up.borrow_mut().note(&changes);
        }
    }

    /// Reads the certificate files again, and signs anew what the internal CA has signed and is about to expire. The pairs of
    /// files that are new ones.
    pub fn renew_certificates(&self) -> Vec<PathBuf> {
        let config = self.shared.snapshot.load().config.clone();
        let new = self.certificates.load(&config);
        self.acme.follow(&config.acme);
        new
    }

    /// Reads the `client_ca` and `tls_ca` files again, and publishes what is new in them; a line for each.
    async fn renew_roots(&self) -> Vec<String> {
        let present = self.shared.snapshot.load_full();
        let next = RootSets::load(&present.config, Some(&present.roots));
        if next.is_same(&present.roots) {
            return Vec::new();
        }
        next.say();
        let rules = match self.tls.prepare(&present.config, &next.clients) {
            Ok(rules) => rules,
            Err(error) => {
                tracing::error!(%error, "TLS goes on as it was");
                return Vec::new();
            }
        };
        let metrics = self.shared.metrics.clone();
        let build = |present: &Snapshot, state: &StateFile| {
            let add = |service: &Arc<ServiceConfig>| added(state, service, &next.backends);
            Ok::<_, Infallible>(Snapshot::build(present.config.clone(), next.clone(), Some(present), &metrics, &add))
        };
        let Ok(_) = self.writer.publish(build).await;
        // Behind the snapshot, as in a reload.
        self.tls.install(rules);
        next.changes(&present.roots).into_values().collect()
    }

    pub fn rotate_tickets(&self) {
        if let Err(error) = self.tls.tickets().rotate(SystemTime::now()) {
            tracing::error!(%error, "the old one goes on");
        }
    }

    /// Watches the files that the present config names.
    pub fn follow_files(&self) {
        if let Some(watch) = self.watch.borrow_mut().as_mut() {
            watch.follow(self.files().into_iter());
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let (config, read) = (self.shared.snapshot.load().config.clone(), self.config_files.borrow());
        let named = named_files(&config, &read).map(ToOwned::to_owned);
        std::iter::once(self.config_path.clone()).chain(named).collect()
    }
}
