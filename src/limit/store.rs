//! governor's `StateStore` with a fixed capacity: the key that was seen least recently gives way.
//!
//! Owns the memory of a zone. Sharded by the key's hash, one mutex held for a look-up and a few writes; memory grows
//! with the keys, never past the capacity. A zone of up to 512 keys is one shard, its order exact; above, each of up
//! to sixteen shards keeps its own order. Never knows what a key was: only its hash.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use governor::nanos::Nanos;
use governor::state::StateStore;
use parking_lot::{Mutex, MutexGuard};

use super::shard::KeyTable;

const MOST_SHARDS: usize = 16;
const LEAST_KEYS_PER_SHARD: usize = 256;

/// A key on its way through governor, and back with the arrival time that is now stored for it.
#[derive(Debug, Clone)]
pub(super) struct KeyProbe {
    hash: u64,
    arrival: Cell<u64>,
}

impl KeyProbe {
    pub(super) fn new(hash: u64) -> Self {
        Self { hash, arrival: Cell::new(0) }
    }

    /// After a check: the theoretical arrival time in nanoseconds, moved on if the request passed.
    pub(super) fn arrival(&self) -> u64 {
        self.arrival.get()
    }
}

impl PartialEq for KeyProbe {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for KeyProbe {}

impl Hash for KeyProbe {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// A handle: clones share the keys.
#[derive(Debug, Clone)]
pub(super) struct Store {
    /// A power of two of them.
    shards: Arc<[Mutex<KeyTable>]>,
}

impl Store {
    /// Holds at most `capacity` keys, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let count = (capacity / LEAST_KEYS_PER_SHARD).clamp(1, MOST_SHARDS);
        // A power of two at or below.
        let count = 1 << count.ilog2();
        let share = |index| capacity / count + usize::from(index < capacity % count);
        Self { shards: (0..count).map(|index| Mutex::new(KeyTable::new(share(index)))).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, KeyTable> {
        // Bits that the shard's own map uses neither for its buckets (low) nor for its tags (high).
        let index = (hash >> 40) as usize & (self.shards.len() - 1);
        self.shards[index].lock()
    }
}

impl StateStore for Store {
    type Key = KeyProbe;

    fn measure_and_replace<T, F, E>(&self, probe: &KeyProbe, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shard(probe.hash);
        let known = shard.touch(probe.hash);
        probe.arrival.set(known.unwrap_or(0));
        let (passed, arrival) = judge(known.map(Nanos::new))?;
        probe.arrival.set(arrival.as_u64());
        shard.put(probe.hash, arrival.as_u64());
        Ok(passed)
    }
}
