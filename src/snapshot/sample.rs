//! A snapshot for the tests of what reads one.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::Snapshot;
use crate::config;
use crate::metrics::Metrics;
use crate::service::{Active, Service};
use crate::trust::RootSets;

impl Snapshot {
    /// Of a config that is valid, for tests. Reads the files of roots that it names.
    pub(crate) fn of_text(text: &str) -> Self {
        let loaded = config::parse("edge.toml", text, &|_| None).unwrap();
        let add = |service: &Arc<config::ServiceConfig>| {
            let active = Active::new(service.initial, 1, UNIX_EPOCH);
            Arc::new(Service::new(service.clone(), active))
        };
        let roots = RootSets::load(&loaded.config, None);
        Self::build(Arc::new(loaded.config), roots, None, &Metrics::new(1), &add)
    }
}
