//! The names of a service's backends, of both colours together: what look-ups say, and when the next is wanted.
//!
//! Both colours at once, because an address may move from the name of one to the name of the other: it leaves the first in the same
//! moment. Never asks DNS: that is done in `resolve`.

use std::collections::BTreeSet;
use std::time::Instant;

use super::Service;
use super::target::{NameAnswer, NameChange, PoolTarget};

impl Service {
    /// The names that have to be looked up.
    pub fn names(&self) -> BTreeSet<String> {
        let named = |target: PoolTarget| target.addr.is_named().then_some(target.addr.host);
        self.pools().flat_map(|pool| pool.targets()).filter_map(named).collect()
    }

    /// Takes in what look-ups have said of these names. Returns what has changed, for the log.
    pub fn resolved(&self, answers: &[(String, NameAnswer)], now: Instant) -> Vec<(PoolTarget, NameChange)> {
        let changes = self.pools().flat_map(|pool| pool.take_names(answers, now)).collect();
        let taken: Vec<_> = self.pools().flat_map(|pool| pool.addresses()).collect();
        self.pools().for_each(|pool| pool.follow_names(&taken));
        changes
    }

    /// Whether nothing of it is down or changing: its names may be looked up at leisure.
    pub fn is_settled(&self) -> bool {
        self.pools().all(|pool| pool.is_settled())
    }

    /// Something has happened that another address may explain: the names are to be looked up at once.
    pub fn doubt_names(&self) {
        self.names_doubted.notify_one();
    }

    /// Returns when that was said since the last call.
    pub async fn names_doubted(&self) {
        self.names_doubted.notified().await;
    }
}
