//! Which healthy backend gets the next exchange.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Arc;
use std::sync::LazyLock;

use super::{Backend, Pool};

/// What a hash balance goes by, taken from the request: the client's address, a header, a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKey(u64);

impl HashKey {
    pub fn of(value: impl Hash) -> Self {
        static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(SEED.hash_one(value))
    }

    /// Rendezvous hashing: each backend's weight for this key; the heaviest wins, so that a backend that goes or comes
    /// moves only its own share of the keys.
    fn weight(self, backend: &Backend) -> u64 {
        let mut x = self.0 ^ backend.id().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// What a backend must be for this request, beside serving at all.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Not one of these: they have been tried.
    pub tried: &'a [u64],
    /// Fewer exchanges inside than this; 0: however many.
    pub max_in_flight: usize,
}

impl Wanted<'_> {
    fn fits(&self, backend: &Backend) -> bool {
        backend.serves()
            && !self.tried.contains(&backend.id())
            && (self.max_in_flight == 0 || backend.in_flight() < self.max_in_flight)
    }
}

impl Pool {
    /// Whether there is any such backend.
    pub fn has(&self, wanted: Wanted<'_>) -> bool {
        self.backends().iter().any(|b| wanted.fits(b))
    }

    /// Fewest exchanges in flight; among equals, in turn.
    pub fn least_conn(&self, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        let backends = self.backends();
        if let [only] = backends.as_slice() {
            return wanted.fits(only).then(|| only.clone());
        }
        let start = self.next_turn();
        (0..backends.len())
            .map(|i| &backends[(start + i) % backends.len()])
            .filter(|b| wanted.fits(b))
            .min_by_key(|b| b.in_flight())
            .cloned()
    }

    /// The next healthy one in turn.
    pub fn round_robin(&self, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        let backends = self.backends();
        let start = self.next_turn();
        (0..backends.len()).map(|i| &backends[(start + i) % backends.len()]).find(|b| wanted.fits(b)).cloned()
    }

    /// That one, if it is such.
    pub fn one(&self, id: u64, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        self.backends().iter().find(|b| b.id() == id && wanted.fits(b)).cloned()
    }

    /// The same backend for the same key, as long as it is healthy.
    pub fn by_hash(&self, key: HashKey, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        self.backends().iter().filter(|b| wanted.fits(b)).max_by_key(|b| key.weight(b)).cloned()
    }
}
