//! A histogram that one thread writes and any thread reads.
//!
//! Because there is one writer, an observation is a load and a store, not a locked read-modify-write; a reader may
//! see the count a moment before the sum. With two writers counts would be lost, nothing worse.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds in microseconds: 1 ms to 60 s.
const BOUNDS: [u64; 15] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// The last is +Inf.
const BUCKETS: usize = BOUNDS.len() + 1;

#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    /// Nanoseconds; wraps after 584 years of requests.
    sum: AtomicU64,
}

impl Histogram {
    /// From one thread at a time.
    pub(super) fn observe(&self, duration: Duration) {
        let nanos = duration.as_nanos() as u64;
        let bucket = BOUNDS.partition_point(|bound| bound * 1_000 < nanos);
        bump(&self.buckets[bucket], 1);
        bump(&self.sum, nanos);
    }
}

/// Adds with a plain load and store: for a counter that one thread writes.
pub(super) fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// Several histograms added up for the reader.
#[derive(Debug, Default)]
pub(super) struct Sums {
    buckets: [u64; BUCKETS],
    sum: u64,
}

impl Sums {
    pub(super) fn add(&mut self, histogram: &Histogram) {
        for (total, bucket) in self.buckets.iter_mut().zip(&histogram.buckets) {
            *total += bucket.load(Relaxed);
        }
        self.sum = self.sum.wrapping_add(histogram.sum.load(Relaxed));
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Seconds.
    pub(super) fn sum(&self) -> f64 {
        Duration::from_nanos(self.sum).as_secs_f64()
    }

    /// Upper bound in seconds and how many were at or below it, the last for +Inf.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = BOUNDS.iter().map(|&bound| bound as f64 / 1e6);
        let mut below = 0;
        bounds.chain([f64::INFINITY]).zip(self.buckets).map(move |(bound, count)| {
            below += count;
            (bound, below)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Histogram, Sums};
    use std::time::Duration;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::default();
        for micros in [0, 1_000, 1_001, 60_000_000, 60_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        let mut totals = Sums::default();
        totals.add(&histogram);
        let cumulative: Vec<_> = totals.cumulative().collect();
        assert_eq!(cumulative[0], (0.001, 2));
        assert_eq!(cumulative[1], (0.0025, 3));
        assert_eq!(cumulative[14], (60.0, 4));
        assert_eq!(cumulative[15], (f64::INFINITY, 5));
        assert_eq!(totals.count(), 5);
    }
}
