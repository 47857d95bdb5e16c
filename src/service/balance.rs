//! Which healthy backend gets the next exchange.

use std::hash::Hash;
use std::sync::Arc;

use super::stable_hash::{mixed, stable_hash};
use super::{Backend, Pool};

/// What a hash balance goes by, taken from the request: the client's address, a header, a cookie.
///
/// No seed of this process is in it: the same key leads to the same address after a restart, and on every node that has the
/// same backends. A client that chooses its key can choose its backend, as with nginx's `hash`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashKey(u64);

impl HashKey {
    pub fn of(value: impl Hash) -> Self {
        Self(stable_hash(value))
    }

    /// Rendezvous hashing: each backend's weight for this key, by its address; the heaviest wins, so that a backend that goes
    /// or comes moves only its own share of the keys.
    fn weight(self, backend: &Backend) -> u64 {
        mixed(self.0 ^ backend.hash_seed())
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
    /// Of those that fit, the ones that are not doubted come first.
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
            .min_by_key(|b| (b.is_doubted(), b.in_flight()))
            .cloned()
    }

    /// The next healthy one in turn.
    pub fn round_robin(&self, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        let backends = self.backends();
        let start = self.next_turn();
        let in_turn = || (0..backends.len()).map(|i| &backends[(start + i) % backends.len()]);
        let first = in_turn().find(|b| wanted.fits(b) && !b.is_doubted());
        first.or_else(|| in_turn().find(|b| wanted.fits(b))).cloned()
    }

    /// This one, if it is wanted and not doubted.
    pub fn one(&self, id: u64, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        self.backends().iter().find(|b| b.id() == id && wanted.fits(b) && !b.is_doubted()).cloned()
    }

    /// The same backend for the same key, as long as it is healthy.
    pub fn by_hash(&self, key: HashKey, wanted: Wanted<'_>) -> Option<Arc<Backend>> {
        self.backends().iter().filter(|b| wanted.fits(b)).max_by_key(|b| (!b.is_doubted(), key.weight(b))).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::service::{Probe, ProbeOutcome};
    use crate::trust::BackendTlsCell;

    /// All of them up.
    fn pool(addresses: &[&str]) -> Pool {
        let pool = Pool::new(None, BackendTlsCell::default());
        pool.retarget(&addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<_>>());
        pool.backends().iter().for_each(|backend| set_up(backend, true));
        pool
    }

    fn set_up(backend: &Backend, up: bool) {
        let outcome = if up { ProbeOutcome::Passed } else { ProbeOutcome::Failed("got 503".to_owned()) };
        backend.observe(Probe { at: SystemTime::now(), took: Duration::ZERO, outcome }, 1, 1);
    }

    const ANY: Wanted<'_> = Wanted { tried: &[], max_in_flight: 0 };

    const FIVE: [&str; 5] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80", "10.0.0.5:80"];

    fn choices(pool: &Pool) -> BTreeMap<u32, String> {
        let name = |key: u32| pool.by_hash(HashKey::of(key), ANY).unwrap().name().to_string();
        (0..10_000).map(|key| (key, name(key))).collect()
    }

    fn name(backend: Option<Arc<Backend>>) -> Option<String> {
        backend.map(|backend| backend.name().to_string())
    }

    #[test]
    fn a_backend_that_leaves_moves_its_own_keys_alone_and_to_all_others() {
        let before = choices(&pool(&FIVE));
        for gone in FIVE {
            let rest: Vec<&str> = FIVE.into_iter().filter(|address| *address != gone).collect();
            let after = choices(&pool(&rest));
            let mut moved = BTreeMap::<&str, u32>::new();
            for (key, address) in &before {
                if address == gone {
                    *moved.entry(&after[key]).or_default() += 1;
                } else {
                    assert_eq!(address, &after[key], "{gone} is gone, and a key of {address} has moved");
                }
            }
            let count: u32 = moved.values().sum();
            assert!((1_800..=2_200).contains(&count), "{gone} had {count} of 10,000 keys");
            assert!(moved.len() == 4 && moved.values().all(|share| *share > 400), "{moved:?}");
        }
    }

    #[test]
    fn a_backend_that_is_down_or_full_or_tried_moves_its_keys_as_if_it_were_gone() {
        let (whole, rest) = (pool(&FIVE), choices(&pool(&FIVE[1..])));
        let first = whole.backends()[0].clone();
        let with = |wanted: Wanted<'_>, key: u32| name(whole.by_hash(HashKey::of(key), wanted));
        let tried = [first.id()];
        first.count_in(0);
        for key in 0..1_000 {
            let expected = Some(rest[&key].clone());
            assert_eq!(with(Wanted { tried: &tried, ..ANY }, key), expected);
            assert_eq!(with(Wanted { max_in_flight: 1, ..ANY }, key), expected);
        }
        set_up(&first, false);
        assert!((0..1_000).all(|key| with(ANY, key) == Some(rest[&key].clone())));
    }

    #[test]
    fn the_choice_depends_on_addresses_alone_and_never_changes() {
        let reversed: Vec<&str> = FIVE.into_iter().rev().collect();
        assert_eq!(choices(&pool(&FIVE)), choices(&pool(&reversed)), "another process, another order");
        let pool = pool(&FIVE);
        let of = |value: &[u8]| name(pool.by_hash(HashKey::of(Some(value)), ANY)).unwrap();
        assert_eq!([&b"alice"[..], b"bob", b"carol", b""].map(of), PINNED);
    }

    /// A change of these sends every client of a `hash:` service to another backend.
    const PINNED: [&str; 4] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.2:80", "10.0.0.5:80"];

    #[test]
    fn the_least_busy_gets_the_next_exchange_and_equals_take_turns() {
        let pool = pool(&FIVE[..3]);
        let all = pool.backends().clone();
        let turns: Vec<_> = (0..6).map(|_| name(pool.least_conn(ANY)).unwrap()).collect();
        assert!(FIVE[..3].iter().all(|address| turns.iter().filter(|turn| turn == address).count() == 2), "{turns:?}");
        all[0].count_in(0);
        all[1].count_in(0);
        assert!((0..3).all(|_| name(pool.least_conn(ANY)).as_deref() == Some(FIVE[2])));
        let full = Wanted { max_in_flight: 1, ..ANY };
        all[2].count_in(0);
        assert_eq!((name(pool.least_conn(full)), name(pool.round_robin(full)), pool.has(full)), (None, None, false));
        all[1].count_out();
        assert!(pool.has(full) && (0..3).all(|_| name(pool.round_robin(full)).as_deref() == Some(FIVE[1])));
    }

    #[test]
    fn a_doubted_backend_is_chosen_when_no_other_is_left() {
        let (whole, rest) = (pool(&FIVE), pool(&FIVE[1..]));
        let doubted = whole.backends()[0].clone();
        let others: Vec<u64> = whole.backends().iter().skip(1).map(|b| b.id()).collect();
        doubted.doubt();
        let by_hash = |pool: &Pool, key: u32, wanted: Wanted<'_>| name(pool.by_hash(HashKey::of(key), wanted));
        for key in 0..100 {
            assert_ne!(name(whole.least_conn(ANY)).as_deref(), Some(FIVE[0]));
            assert_ne!(name(whole.round_robin(ANY)).as_deref(), Some(FIVE[0]));
            assert_eq!(by_hash(&whole, key, ANY), by_hash(&rest, key, ANY), "as if it were gone");
        }
        assert!(whole.one(doubted.id(), ANY).is_none());
        let last = Wanted { tried: &others, ..ANY };
        for chosen in [whole.least_conn(last), whole.round_robin(last), whole.by_hash(HashKey::of(1), last)] {
            assert_eq!(name(chosen).as_deref(), Some(FIVE[0]));
        }
        doubted.connected();
        assert!(whole.one(doubted.id(), ANY).is_some());
    }

    #[test]
    fn one_backend_is_asked_for_by_its_id() {
        let pool = pool(&FIVE[..2]);
        let all = pool.backends().clone();
        assert_eq!(name(pool.one(all[1].id(), ANY)).as_deref(), Some(FIVE[1]));
        assert!(pool.one(all[1].id(), Wanted { tried: &[all[1].id()], ..ANY }).is_none());
        assert!(pool.one(all[1].id() + 1_000, ANY).is_none());
        let turns: Vec<_> = (0..4).map(|_| name(pool.round_robin(ANY)).unwrap()).collect();
        assert_eq!((&turns[0], &turns[1]), (&turns[2], &turns[3]));
        assert_ne!(turns[0], turns[1]);
        let alone = self::pool(&FIVE[..1]);
        let only = alone.backends()[0].clone();
        assert_eq!(name(alone.least_conn(ANY)).as_deref(), Some(FIVE[0]));
        set_up(&only, false);
        assert!(alone.least_conn(ANY).is_none() && !alone.has(ANY));
    }
}
