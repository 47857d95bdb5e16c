//! Guests: exchanges that are in a pool although its colour does not serve, by a preview or in place of the other colour. A
//! drain of the pool neither waits for them nor cuts them. When the colour comes to serve, they become its residents.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How many there are, and the present [`Era`]. Both are in one word, so that a guest that leaves is counted as what it is then.
#[derive(Debug, Default)]
pub(super) struct Guests(AtomicU64);

/// The guests of a pool between two moments at which its colour came to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Era(u32);

const COUNT: u64 = u32::MAX as u64;

impl Guests {
    /// A guest is counted in the era that it arrives in.
    pub fn enter(&self) -> Era {
        era(self.0.fetch_add(1, Ordering::SeqCst))
    }

    /// Answers whether it was still a guest.
    pub fn leave(&self, of: Era) -> bool {
        let one_less = |word| (era(word) == of).then(|| word - 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }

    pub fn count(&self) -> usize {
        (self.0.load(Ordering::SeqCst) & COUNT) as usize
    }

    pub fn are_of(&self, of: Era) -> bool {
        era(self.0.load(Ordering::Relaxed)) == of
    }

    /// From here on they count among `residents`. For a moment they count in both, but never in neither.
    pub fn become_residents(&self, residents: &AtomicUsize) {
        let mut word = self.0.load(Ordering::SeqCst);
        loop {
            let count = (word & COUNT) as usize;
            residents.fetch_add(count, Ordering::SeqCst);
            let next = (word | COUNT).wrapping_add(1);
            match self.0.compare_exchange(word, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return,
                Err(now) => word = now,
            }
            residents.fetch_sub(count, Ordering::SeqCst);
        }
    }
}

fn era(word: u64) -> Era {
    Era((word >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_leaves_as_what_it_has_become() {
        let (guests, residents) = (Guests::default(), AtomicUsize::new(0));
        let (early, first) = (guests.enter(), guests.enter());
        assert!(guests.leave(early) && guests.count() == 1);
        guests.become_residents(&residents);
        assert_eq!((guests.count(), residents.load(Ordering::SeqCst)), (0, 1));
        let second = guests.enter();
        assert!(!guests.are_of(first) && guests.are_of(second));
        assert!(!guests.leave(first), "a resident by now");
        assert!(guests.leave(second));
        assert_eq!(guests.count(), 0);
    }

    #[test]
    fn under_any_load_the_counts_come_out_even() {
        let (guests, residents) = (Guests::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let era = guests.enter();
                        if !guests.leave(era) {
                            residents.fetch_sub(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            scope.spawn(|| (0..5_000).for_each(|_| guests.become_residents(&residents)));
        });
        assert_eq!((guests.count(), residents.load(Ordering::SeqCst)), (0, 0));
    }
}
