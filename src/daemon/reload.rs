//! Reload: the new config as a whole, or nothing of it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::filewatch::{certificate_files, fingerprint, fingerprints_of_named};
use super::running::Daemon;
use super::services::{added, initial};
use crate::admin::wire::{ConfigOnDisk, ConfigState};
use crate::config::{self, Config, Diagnostics};
use crate::control::StateFile;
use crate::resolve::Resolver;
use crate::snapshot::Snapshot;
use crate::tls::CertSource;
use crate::trust::BackendTlsSet;

/// About a key that is read once.
const AT_START: &str = "it takes effect at the next start";

/// What a reload changed, in words.
#[derive(Debug)]
pub(super) struct Reloaded {
    pub changes: Vec<String>,
    pub warnings: Vec<String>,
    /// Those of the warnings that the log has not been told of.
    unsaid: Vec<String>,
}

/// Why everything stays as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReloaded {
    #[error("{0}")]
    Config(Diagnostics),
    #[error("{0}")]
    Failed(String),
}

impl Daemon {
    /// Rereads the config; `why` goes into the log.
    pub async fn reload(self: &Rc<Self>, why: &str) -> Result<Reloaded, NotReloaded> {
        self.admin.keep();
        // Taken before the file is read: a change from here on is taken up by the next reload.
        self.fingerprints.borrow_mut().config = fingerprint(&self.config_path);
        let result = self.reload_config().await;
        self.compare_with_disk(&result);
        match &result {
            Ok(done) => {
                self.shared.metrics.reloaded(SystemTime::now());
                tracing::info!(why, changes = done.changes.join("; "), "config reloaded");
                done.unsaid.iter().for_each(|warning| tracing::warn!("{warning}"));
            }
            Err(error) => {
                self.shared.metrics.reload_failed();
                tracing::error!(why, "config NOT reloaded, what runs goes on running\n{error}");
                // The reload may have been asked for because of new certificates.
                self.take_certificates_up().await;
            }
        }
        self.follow_files();
        result
    }

    async fn reload_config(self: &Rc<Self>) -> Result<Reloaded, NotReloaded> {
        let loaded = config::load(&self.config_path).map_err(NotReloaded::Config)?;
        let next = Arc::new(loaded.config);
        let named = fingerprints_of_named(&next);
        let changed_files = self.fingerprints.borrow().changed(&named);
        self.fingerprints.borrow_mut().named = named;
        let before = self.shared.snapshot.load().config.clone();
        let failed = |e: &dyn std::fmt::Display| NotReloaded::Failed(e.to_string());
        let prepared = self.listeners.prepare(&next.server).map_err(|e| failed(&e))?;
        let rules = self.tls.prepare(&next).map_err(|e| failed(&e))?;
        // Without servers in the config, those of /etc/resolv.conf are used, and that file may have changed.
        if before.server.resolvers != next.server.resolvers || next.server.resolvers.is_empty() {
            let resolver = Resolver::new(&next.server.resolvers);
            self.operator.set_resolver(resolver.clone());
            self.acme.set_resolver(resolver.clone());
            *self.resolver.borrow_mut() = resolver;
        }
        let metrics = self.shared.metrics.clone();
        let backend_tls = Arc::new(BackendTlsSet::load(&next, Some(&self.shared.snapshot.load().backend_tls)));
        let warm = self.warm_up(&next, &backend_tls).await;
        let build = |present: &Snapshot, state: &StateFile| {
            let add = |service: &Arc<config::ServiceConfig>| match warm.get(&service.name) {
                Some(known) => {
                    // The service whose place it takes may have been paused meanwhile.
                    known.publish(initial(state, service));
                    known.clone()
                }
                None => added(state, service, &backend_tls),
            };
            Ok::<_, NotReloaded>(Snapshot::build(next.clone(), backend_tls.clone(), Some(present), &metrics, &add))
        };
        // Both together: if no file covers a name any more, its certificate on disk serves from the first moment on.
        self.certificates.load(&next);
        self.acme.follow(&next.acme);
        let installed = self.writer.publish(build).await?;
        installed.backend_tls.say();
        // Right after the snapshot: after a handshake under rules that the sites don't know yet, requests would be misdirected.
        let troubles = rules.troubles().to_vec();
        self.tls.install(rules);
        self.follow_services();
        self.resolve_now().await;
        let mut changes = self.listeners.apply(prepared, self.workers.orders()).await;
        self.show_listeners();
        changes.extend(self.differences(&before, &next));
        changes.extend(changed_files.iter().map(|file| format!("file {} changed", file.display())));
        if changes.is_empty() {
            changes.push("nothing changed".to_owned());
        }
        let mut unsaid: Vec<String> = loaded.warnings.iter().map(|w| w.message.clone()).collect();
        unsaid.extend(self.shared.descriptors.warning(next.limits.connections));
        let is_news = |key: &&str| !changes.iter().any(|change| change.starts_with(key));
        let waiting = config::waits_for_restart(&self.started_with, &next).into_iter().filter(is_news);
        unsaid.extend(waiting.map(|key| format!("{key} still differs from what runs: {AT_START}")));
        let certificates =
            self.certificates.status().into_iter().filter(|known| matches!(known.source, CertSource::File(_)));
        let mut warnings = unsaid.clone();
        warnings.extend(certificates.filter_map(|known| known.error));
        warnings.extend(troubles);
        warnings.extend(installed.backend_tls.troubles().iter().cloned());
        Ok(Reloaded { changes, warnings, unsaid })
    }

    /// What the next config says otherwise, key by key; and which of it waits for the next start.
    fn differences(&self, before: &Config, next: &Config) -> Vec<String> {
        let waiting = config::waits_for_restart(&self.started_with, next);
        let changes = config::changes(before, next).into_iter();
        let said = changes.map(|change| match waiting.iter().any(|key| change == format!("{key} changed")) {
            true => format!("{change}: {AT_START}"),
            false => change,
        });
        said.collect()
    }

    /// Notes whether the file says what runs, for the status and the metrics.
    fn compare_with_disk(&self, result: &Result<Reloaded, NotReloaded>) {
        let (state, details) = match result {
            Ok(_) => {
                let running = self.shared.snapshot.load().config.clone();
                let waiting = config::waits_for_restart(&self.started_with, &running);
                let state = if waiting.is_empty() { ConfigState::Same } else { ConfigState::Differs };
                (state, waiting.into_iter().map(|key| format!("{key}: {AT_START}")).collect())
            }
            Err(NotReloaded::Config(diagnostics)) => (ConfigState::Broken, diagnostics.in_short()),
            Err(NotReloaded::Failed(text)) => (ConfigState::Differs, vec![text.clone()]),
        };
        let before = self.config_on_disk.load();
        let since = if before.state == state { before.since } else { Some(Timestamp::now()) };
        self.config_on_disk.store(Arc::new(ConfigOnDisk { state, since, details }));
    }

    /// Files may have changed: takes up what really differs.
    pub async fn files_changed(self: &Rc<Self>) {
        // First the watch, then the content: a folder that was made anew may be filled between the two.
        self.follow_files();
        if fingerprint(&self.config_path) != self.fingerprints.borrow().config {
            let _ = self.reload("the file changed").await;
            return;
        }
        let config = self.shared.snapshot.load().config.clone();
        let named = fingerprints_of_named(&config);
        let changed = self.fingerprints.borrow().changed(&named);
        self.fingerprints.borrow_mut().named = named;
        if changed.is_empty() {
            return;
        }
        let has_new_roots = config.acme.ca_file.as_ref().is_some_and(|roots| changed.contains(roots));
        // What can't be used is said where it is read; then there is nothing to say here.
        if self.take_certificates_up().await || has_new_roots {
            tracing::info!("certificates taken up");
        }
    }

    /// All files besides the config; whether any holds something new that can be used.
    async fn take_certificates_up(&self) -> bool {
        let (certificates, roots) = (self.renew_certificates(), self.renew_client_cas());
        let backends = self.renew_backend_tls().await;
        self.acme.reopen_accounts();
        certificates || roots || backends
    }

    /// Reads the certificate files again, and signs anew what the internal CA has signed and is about to expire. Whether a pair of
    /// files is a new one.
    pub fn renew_certificates(&self) -> bool {
        let config = self.shared.snapshot.load().config.clone();
        let is_new = self.certificates.load(&config);
        self.acme.follow(&config.acme);
        is_new
    }

    /// Reads the `client_ca` files again; whether others count now.
    fn renew_client_cas(&self) -> bool {
        let config = self.shared.snapshot.load().config.clone();
        match self.tls.prepare(&config) {
            Ok(rules) => self.tls.install(rules),
            Err(error) => {
                tracing::error!(%error, "TLS goes on as it was");
                false
            }
        }
    }

    /// Reads the `tls_ca` files again, and publishes what is new in them; whether other roots count now.
    async fn renew_backend_tls(&self) -> bool {
        let present = self.shared.snapshot.load_full();
        let next = Arc::new(BackendTlsSet::load(&present.config, Some(&present.backend_tls)));
        if next.is_same(&present.backend_tls) {
            return false;
        }
        let is_new = !next.verifies_as(&present.backend_tls);
        next.say();
        let metrics = self.shared.metrics.clone();
        let build = |present: &Snapshot, state: &StateFile| {
            let add = |service: &Arc<config::ServiceConfig>| added(state, service, &next);
            Ok::<_, Infallible>(Snapshot::build(present.config.clone(), next.clone(), Some(present), &metrics, &add))
        };
        let Ok(_) = self.writer.publish(build).await;
        is_new
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
        let config = self.shared.snapshot.load().config.clone();
        std::iter::once(self.config_path.clone()).chain(certificate_files(&config).map(Path::to_owned)).collect()
    }
}
