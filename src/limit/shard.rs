//! One shard of the store: a map from hash to slot, and the slots in order of use.
//!
//! Owns a doubly linked list over a `Vec`: no allocation per key beyond the growth of two tables. A new key
//! takes over the slot of the one that gives way. Never locks: `store` does.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// No neighbour.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct KeyTable {
    slots: Vec<KeySlot>,
    by_hash: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    capacity: usize,
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct KeySlot {
    hash: u64,
    arrival: u64,
    newer: u32,
    older: u32,
}

impl KeyTable {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            by_hash: HashMap::default(),
            capacity: capacity.clamp(1, NONE as usize),
            newest: NONE,
            oldest: NONE,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The arrival time stored for `hash`, which is now the most recently seen.
    pub(super) fn touch(&mut self, hash: u64) -> Option<u64> {
        let index = *self.by_hash.get(&hash)?;
        if index != self.newest {
            self.unlink(index);
            self.link_newest(index);
        }
        Some(self.slots[index as usize].arrival)
    }

    /// Stores the arrival time of `hash`, which was just touched or is new.
    pub(super) fn put(&mut self, hash: u64, arrival: u64) {
        match self.slots.get_mut(self.newest as usize) {
            Some(slot) if slot.hash == hash => slot.arrival = arrival,
            _ => self.insert(hash, arrival),
        }
    }

    fn insert(&mut self, hash: u64, arrival: u64) {
        let slot = KeySlot { hash, arrival, newer: NONE, older: NONE };
        let index = if self.slots.len() < self.capacity {
            self.slots.push(slot);
            (self.slots.len() - 1) as u32
        } else {
            let index = self.oldest;
            self.unlink(index);
            self.by_hash.remove(&self.slots[index as usize].hash);
            self.slots[index as usize] = slot;
            index
        };
        self.by_hash.insert(hash, index);
        self.link_newest(index);
    }

    fn unlink(&mut self, index: u32) {
        let KeySlot { newer, older, .. } = self.slots[index as usize];
        match self.slots.get_mut(newer as usize) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, index: u32) {
        let older = self.newest;
        let slot = &mut self.slots[index as usize];
        (slot.newer, slot.older) = (NONE, older);
        match self.slots.get_mut(older as usize) {
            Some(slot) => slot.newer = index,
            None => self.oldest = index,
        }
        self.newest = index;
    }
}

/// The keys are keyed hashes already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not called for `u64`; correct all the same.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::KeyTable;

    #[test]
    fn the_least_recently_seen_key_gives_way() {
        let mut shard = KeyTable::new(3);
        for key in [1, 2, 3] {
            shard.put(key, key * 10);
        }
        assert_eq!(shard.touch(1), Some(10));
        shard.put(4, 40);
        assert_eq!(shard.touch(2), None);
        shard.put(5, 50);
        assert_eq!(shard.touch(3), None);
        assert_eq!([1, 4, 5].map(|key| shard.touch(key)), [Some(10), Some(40), Some(50)]);
        assert_eq!(shard.len(), 3);
    }

    #[test]
    fn one_slot_is_enough() {
        let mut shard = KeyTable::new(1);
        shard.put(1, 10);
        shard.put(1, 11);
        assert_eq!(shard.touch(1), Some(11));
        shard.put(2, 20);
        assert_eq!((shard.touch(1), shard.touch(2), shard.len()), (None, Some(20), 1));
    }

    #[test]
    fn memory_comes_with_the_keys() {
        assert_eq!(KeyTable::new(1_000_000).slots.capacity(), 0);
    }
}
