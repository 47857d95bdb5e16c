//! A snapshot for the tests of what reads one.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::Snapshot;
use crate::config;
use crate::metrics::Metrics;
use crate::service::{Active, Service};

impl Snapshot {
    /// Of a config that is valid, for tests.
    pub(crate) fn of_text(text: &str) -> Self {
        let loaded = config::parse("edge.toml", text, &|_| None).unwrap();
        let add = |service: &Arc<config::ServiceConfig>| {
            let active = Active::new(service.initial, 1, UNIX_EPOCH);
            Arc::new(Service::new(service.clone(), active))
        };
        Self::build(Arc::new(loaded.config), Arc::default(), None, &Metrics::new(1), &add)
    }
}
