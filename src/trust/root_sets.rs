//! All roots that one config names, read together: of what changes in them a reload and the watch of files tell alike.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backends::{self, BackendTlsSet};
use super::clients::{self, ClientRootSet};
use crate::config::Config;

pub use backends::files as backend_files;

/// Those of backends and those of clients. Cloning is cheap.
#[derive(Clone, Default)]
pub struct RootSets {
    pub backends: Arc<BackendTlsSet>,
    pub clients: Arc<ClientRootSet>,
}

impl RootSets {
    /// Reads the files. What has not changed stays the same object. Touches the disk.
    pub fn load(config: &Config, before: Option<&Self>) -> Self {
        Self {
            backends: Arc::new(BackendTlsSet::load(config, before.map(|before| &*before.backends))),
            clients: Arc::new(ClientRootSet::load(config, before.map(|before| &*before.clients))),
        }
    }

    /// Whether the same roots count, and the same is wrong.
    pub fn is_same(&self, other: &Self) -> bool {
        self.backends.is_same(&other.backends) && self.clients.is_same(&other.clients)
    }

    /// A line for each file that was read before and holds other roots now, or could not be used and can be now.
    pub fn changes(&self, before: &Self) -> BTreeMap<PathBuf, String> {
        let mut lines = self.backends.changes(&before.backends);
        for (path, line) in self.clients.changes(&before.clients) {
            lines.entry(path).and_modify(|known| *known = format!("{known}; {line}")).or_insert(line);
        }
        lines
    }

    /// What is wrong with the files, and what that means.
    pub fn troubles(&self) -> impl Iterator<Item = &str> {
        self.clients.troubles().iter().chain(self.backends.troubles()).map(|trouble| trouble.text.as_str())
    }

    /// Logs each trouble as an error: it may have shut a site, or cut off a service.
    pub fn say(&self) {
        for trouble in self.troubles() {
            tracing::error!("{trouble}");
        }
    }
}

/// The files that [`RootSets::load`] reads, without the system's.
pub fn files(config: &Config) -> impl Iterator<Item = &Path> {
    clients::files(config).chain(backends::files(config))
}
