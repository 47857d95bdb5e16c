//! Reload: the new config as a whole, or nothing of it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

use super::budget;
use super::filewatch::{fingerprint, fingerprints, named_files};
use super::running::Daemon;
use super::services::{added, initial};
use crate::admin::wire::{ConfigOnDisk, ConfigState};
use crate::config::{self, Config, Diagnostics};
use crate::control::StateFile;
use crate::resolve::Resolver;
use crate::snapshot::Snapshot;
use crate::tls::CertSource;
use crate::trust::RootSets;

/// About a reload that found no difference.
pub(super) const NOTHING: &str = "nothing changed";

/// About a key that is read once.
const AT_START: &str = "it takes effect at the next start";

/// What a reload changed, in words.
#[derive(Debug)]
pub(super) struct Reloaded {
    pub changes: Vec<String>,
    /// Those of them that are about files which the config names.
    pub files: Vec<String>,
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

impl NotReloaded {
    /// On one line, for the log; the command shows where in the file.
    fn in_short(&self) -> String {
        match self {
            Self::Config(diagnostics) => diagnostics.in_short().join("; "),
            Self::Failed(why) => why.clone(),
        }
    }
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
                tracing::error!(why, "config NOT reloaded, what runs goes on: {}", error.in_short());
                self.forget_config_files();
                // The reload may have been asked for because of new certificates.
                self.take_up(Vec::new()).await;
            }
        }
        self.follow_files();
        result
    }

    async fn reload_config(self: &Rc<Self>) -> Result<Reloaded, NotReloaded> {
        let loaded = config::load(&self.config_path).map_err(NotReloaded::Config)?;
        let next = Arc::new(loaded.config);
        let named = fingerprints(named_files(&next, &loaded.files));
        let changed_files = self.fingerprints.borrow().changed(&named);
        self.fingerprints.borrow_mut().named = named;
        let before = self.shared.snapshot.load().config.clone();
        let failed = |e: &dyn std::fmt::Display| NotReloaded::Failed(e.to_string());
        let prepared = self.listeners.prepare(&next.server).map_err(|e| failed(&e))?;
        let roots_before = self.shared.snapshot.load().roots.clone();
        let roots = RootSets::load(&next, Some(&roots_before));
        let rules = self.tls.prepare(&next, &roots.clients).map_err(|e| failed(&e))?;
        // Without servers in the config, those of /etc/resolv.conf are used, and that file may have changed.
        if before.server.resolvers != next.server.resolvers || next.server.resolvers.is_empty() {
            let resolver = Resolver::new(&next.server.resolvers);
            self.operator.set_resolver(resolver.clone());
            self.acme.set_resolver(resolver.clone());
            *self.resolver.borrow_mut() = resolver;
        }
        let metrics = self.shared.metrics.clone();
        let warm = self.warm_up(&next, &roots.backends).await;
        let build = |present: &Snapshot, state: &StateFile| {
            let add = |service: &Arc<config::ServiceConfig>| match warm.get(&service.name) {
                Some(known) => {
                    // The service whose place it takes may have been paused meanwhile.
                    known.publish(initial(state, service));
                    known.clone()
                }
                None => added(state, service, &roots.backends),
            };
            Ok::<_, NotReloaded>(Snapshot::build(next.clone(), roots.clone(), Some(present), &metrics, &add))
        };
        // Both together: if no file covers a name any more, its certificate on disk serves from the first moment on.
        let _ = self.certificates.load(&next);
        self.acme.follow(&next.acme);
        self.writer.publish(build).await?;
        *self.config_files.borrow_mut() = loaded.files;
        roots.say();
        // Right after the snapshot: after a handshake under rules that the sites don't know yet, requests would be misdirected.
        self.tls.install(rules);
        self.follow_services();
        self.resolve_now().await;
        let mut changes = self.listeners.apply(prepared, self.workers.orders()).await;
        self.show_listeners();
        changes.extend(self.differences(&before, &next));
        let mut files = roots.changes(&roots_before);
        for file in changed_files {
            let line = format!("file {} changed", file.display());
            files.entry(file).or_insert(line);
        }
        let files: Vec<String> = files.into_values().collect();
        changes.extend(files.iter().cloned());
        if changes.is_empty() {
            changes.push(NOTHING.to_owned());
        }
        let mut unsaid: Vec<String> = loaded.warnings.iter().map(|w| w.message.clone()).collect();
        unsaid.extend(self.shared.descriptors.warning(next.limits.connections));
        unsaid.extend(budget::spool_warning(&next));
        let is_news = |key: &&str| !changes.iter().any(|change| change.starts_with(key));
        let waiting = config::waits_for_restart(&self.started_with, &next).into_iter().filter(is_news);
        unsaid.extend(waiting.map(|key| format!("{key} still differs from what runs: {AT_START}")));
        let certificates =
            self.certificates.status().into_iter().filter(|known| matches!(known.source, CertSource::File(_)));
        let mut warnings = unsaid.clone();
        warnings.extend(certificates.filter_map(|known| known.error));
        warnings.extend(roots.troubles().map(ToOwned::to_owned));
        Ok(Reloaded { changes, files, warnings, unsaid })
    }

    /// After a reload that has failed: a secret or a page that can't be used is tried again when it changes again, not at the next look.
    fn forget_config_files(&self) {
        let mut known = self.fingerprints.borrow_mut();
        for file in self.config_files.borrow().iter() {
            known.named.insert(file.clone(), fingerprint(file));
        }
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
}
