//! Reload: the new config as a whole, or nothing of it.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::filewatch::{certificate_files, certificate_fingerprint, config_fingerprint};
use super::running::Daemon;
use super::services::{added, initial};
use crate::config::{self, Config, Diagnostics};
use crate::control::StateFile;
use crate::resolve::Resolver;
use crate::snapshot::Snapshot;
use crate::trust::BackendTlsSet;

/// What a reload changed, in words.
#[derive(Debug)]
pub(super) struct Reloaded {
    pub changes: Vec<String>,
    pub warnings: Vec<String>,
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
        self.fingerprints.set((config_fingerprint(&self.config_path), self.fingerprints.get().1));
        let result = self.reload_config().await;
        match &result {
            Ok(done) => {
                self.shared.metrics.reloaded(SystemTime::now());
                tracing::info!(why, changes = done.changes.join("; "), "config reloaded");
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
        self.fingerprints.set((self.fingerprints.get().0, certificate_fingerprint(&next)));
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
        changes.extend(differences(&before, &next));
        if changes.is_empty() {
            changes.push("nothing changed".to_owned());
        }
        let mut warnings: Vec<String> = loaded.warnings.iter().map(|w| w.message.clone()).collect();
        warnings.extend(self.shared.descriptors.warning(next.limits.connections));
        warnings.extend(needs_restart(&before, &next));
        warnings.extend(troubles);
        warnings.extend(installed.backend_tls.troubles().iter().cloned());
        Ok(Reloaded { changes, warnings })
    }

    /// Files may have changed: takes up what really differs.
    pub async fn files_changed(self: &Rc<Self>) {
        // First the watch, then the content: a folder that was made anew may be filled between the two.
        self.follow_files();
        let (config_before, certs_before) = self.fingerprints.get();
        let config_now = config_fingerprint(&self.config_path);
        let certs_now = certificate_fingerprint(&self.shared.snapshot.load().config);
        if config_now != config_before {
            let _ = self.reload("the file changed").await;
        } else if certs_now != certs_before {
            self.fingerprints.set((config_now, certs_now));
            self.take_certificates_up().await;
            tracing::info!("certificates taken up");
        }
    }

    /// All files besides the config.
    async fn take_certificates_up(&self) {
        self.renew_certificates();
        self.renew_client_cas();
        self.renew_backend_tls().await;
        self.acme.reopen_accounts();
    }

    /// Reads the certificate files again, and signs anew what the internal CA has signed and is about to expire.
    pub fn renew_certificates(&self) {
        let config = self.shared.snapshot.load().config.clone();
        self.certificates.load(&config);
        self.acme.follow(&config.acme);
    }

    /// Reads the `client_ca` files again.
    fn renew_client_cas(&self) {
        let config = self.shared.snapshot.load().config.clone();
        match self.tls.prepare(&config) {
            Ok(rules) => self.tls.install(rules),
            Err(error) => tracing::error!(%error, "TLS goes on as it was"),
        }
    }

    /// Reads the `tls_ca` files again, and publishes what is new in them.
    async fn renew_backend_tls(&self) {
        let present = self.shared.snapshot.load_full();
        let next = Arc::new(BackendTlsSet::load(&present.config, Some(&present.backend_tls)));
        if next.is_same(&present.backend_tls) {
            return;
        }
        next.say();
        let metrics = self.shared.metrics.clone();
        let build = |present: &Snapshot, state: &StateFile| {
            let add = |service: &Arc<config::ServiceConfig>| added(state, service, &next);
            Ok::<_, Infallible>(Snapshot::build(present.config.clone(), next.clone(), Some(present), &metrics, &add))
        };
        let Ok(_) = self.writer.publish(build).await;
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

/// What an operator wants to read after a reload.
fn differences(before: &Config, next: &Config) -> Vec<String> {
    let mut changes = Vec::new();
    let names = |config: &Config| config.sites.iter().map(|s| s.name.to_string()).collect::<Vec<_>>();
    compare("site", &names(before), &names(next), &mut changes);
    for site in &next.sites {
        if before.sites.iter().any(|old| old.name == site.name && old != site) {
            changes.push(format!("site {} changed", site.name));
        }
    }
    let names = |config: &Config| config.services.keys().map(ToString::to_string).collect::<Vec<_>>();
    compare("service", &names(before), &names(next), &mut changes);
    for (name, service) in &next.services {
        if before.services.get(name).is_some_and(|old| old != service) {
            changes.push(format!("service {name} changed"));
        }
    }
    let names = |config: &Config| config.zones.keys().map(ToString::to_string).collect::<Vec<_>>();
    compare("zone", &names(before), &names(next), &mut changes);
    for (name, zone) in &next.zones {
        if before.zones.get(name).is_some_and(|old| old != zone) {
            changes.push(format!("zone {name} changed, its keys start anew"));
        }
    }
    let sections =
        [("limits", before.limits != next.limits), ("tls", before.tls != next.tls), ("acme", before.acme != next.acme)];
    for (what, differs) in sections {
        if differs {
            changes.push(format!("[{what}] changed"));
        }
    }
    changes
}

fn compare(kind: &str, before: &[String], next: &[String], changes: &mut Vec<String>) {
    let added = next.iter().filter(|name| !before.contains(name)).map(|name| format!("{kind} {name} added"));
    changes.extend(added);
    let removed = before.iter().filter(|name| !next.contains(name)).map(|name| format!("{kind} {name} removed"));
    changes.extend(removed);
}

/// Keys that are read once, at the start.
fn needs_restart(before: &Config, next: &Config) -> Vec<String> {
    let (a, b) = (&before.server, &next.server);
    let keys = [
        ("server.admin", a.admin != b.admin),
        ("server.metrics", a.metrics != b.metrics),
        ("server.state_dir", a.state_dir != b.state_dir),
        ("server.workers", a.workers != b.workers),
        ("log", before.log != next.log),
    ];
    let changed = keys.into_iter().filter(|(_, differs)| *differs);
    changed.map(|(key, _)| format!("{key} has changed: it takes effect at the next start")).collect()
}
