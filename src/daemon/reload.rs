//! Reload: the new config as a whole, or nothing of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::watch::fingerprint;
use super::world::{World, added, initial};
use crate::config::{self, Config, Diagnostics};
use crate::control::StateFile;
use crate::resolve::Resolver;
use crate::snapshot::Snapshot;

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

impl World {
    /// Rereads the config; `why` goes into the log.
    pub async fn reload(self: &Rc<Self>, why: &str) -> Result<Reloaded, NotReloaded> {
        self.admin.keep();
        // Before it is read: a change from here on is one to be taken up next.
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
                // It may have been asked for because of them.
                self.take_certificates_up();
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
        if before.server.resolvers != next.server.resolvers {
            let resolver = Resolver::new(&next.server.resolvers);
            self.operator.set_resolver(resolver.clone());
            self.acme.set_resolver(resolver.clone());
            *self.resolver.borrow_mut() = resolver;
        }
        let metrics = self.shared.metrics.clone();
        let warm = self.warm_up(&next).await;
        let build = |present: &Snapshot, state: &StateFile| {
            let add = |service: &Arc<config::Service>| match warm.get(&service.name) {
                Some(known) => {
                    // Meanwhile the one that it takes the place of may have been paused.
                    known.publish(initial(state, service));
                    known.clone()
                }
                None => added(state, service),
            };
            Ok::<_, NotReloaded>(Snapshot::build(next.clone(), Some(present), &metrics, &add))
        };
        // Together: what is on disk of a certificate that no file covers any more serves from the first moment on.
        self.certificates.load(&next);
        self.acme.follow(&next.acme);
        self.writer.publish(build).await?;
        // Right behind the snapshot: a handshake under rules that the sites don't know yet is a request misdirected.
        let troubles = rules.troubles().to_vec();
        self.tls.install(rules);
        self.follow_services();
        self.resolve_now().await;
        let mut changes = self.listeners.apply(prepared, &self.cores).await;
        self.show_listeners();
        changes.extend(differences(&before, &next));
        if changes.is_empty() {
            changes.push("nothing changed".to_owned());
        }
        let mut warnings: Vec<String> = loaded.warnings.iter().map(|w| w.message.clone()).collect();
        warnings.extend(needs_restart(&before, &next));
        warnings.extend(troubles);
        Ok(Reloaded { changes, warnings })
    }

    /// Files have been touched: reload what really differs.
    pub async fn files_changed(self: &Rc<Self>) {
        let (config_before, certs_before) = self.fingerprints.get();
        let config_now = config_fingerprint(&self.config_path);
        let certs_now = certificate_fingerprint(&self.shared.snapshot.load().config);
        if config_now != config_before {
            let _ = self.reload("the file changed").await;
        } else if certs_now != certs_before {
            self.fingerprints.set((config_now, certs_now));
            self.take_certificates_up();
            tracing::info!("certificates taken up");
            // A link may lead elsewhere now, and a folder may have been made anew.
            self.follow_files();
        }
    }

    /// All files besides the config.
    fn take_certificates_up(&self) {
        self.renew_certificates();
        self.renew_client_cas();
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

/// What the config file holds now.
pub(super) fn config_fingerprint(path: &Path) -> u64 {
    fingerprint(std::iter::once(path))
}

/// What the files that `config` names hold now.
pub(super) fn certificate_fingerprint(config: &Config) -> u64 {
    fingerprint(certificate_files(config))
}

fn certificate_files(config: &Config) -> impl Iterator<Item = &Path> {
    let asked = config.sites.iter().filter_map(|site| site.client_auth.as_ref()).chain(&config.tls.client_auth);
    let cas: BTreeSet<&Path> = asked.map(|asked| asked.ca.as_path()).collect();
    config.tls.certificates.iter().flat_map(|c| [c.cert.as_path(), c.key.as_path()]).chain(cas)
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
