//! Names and what counts for them: found or made, never dropped.
//!
//! Asked when a snapshot is built and when metrics are told; never for a request. What was counted under a name that
//! has left the config stays, as Prometheus expects of counters.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Debug)]
pub(super) struct Registry<K, V>(Mutex<BTreeMap<K, Arc<V>>>);

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord + Clone, V> Registry<K, V> {
    pub(super) fn find_or_make(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        Arc::clone(self.0.lock().entry(key).or_insert_with(|| Arc::new(make())))
    }

    /// In order of the names.
    pub(super) fn all(&self) -> Vec<(K, Arc<V>)> {
        let entries = self.0.lock();
        entries.iter().map(|(key, value)| (key.clone(), Arc::clone(value))).collect()
    }
}
