//! How long until a backend's head: a histogram fine enough to compare two colours by their quantiles.
//!
//! Log-linear, as HdrHistogram: eight buckets to a power of two, so a bucket is at most an eighth wider than where it
//! begins. One thread writes, any reads, as in [`super::histogram`]; that one has the bounds Prometheus is told, this one
//! is for our own judgement.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::histogram::bump;

/// log2 of the nanoseconds of the narrowest bucket: 8.2 µs. Below 131 µs all are that wide.
const UNIT: u32 = 13;

/// log2 of the buckets to a power of two.
const FINE: u32 = 3;

/// Up to 137 s; the last takes what is above.
pub(super) const BUCKETS: usize = 176;

#[derive(Debug)]
pub(super) struct Latency([AtomicU64; BUCKETS]);

impl Default for Latency {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }
}

impl Latency {
    /// From one thread at a time.
    pub fn observe(&self, duration: Duration) {
        bump(&self.0[bucket(duration)], 1);
    }
}

/// Counts by bucket: several histograms added up, or what one has gained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Latencies([u64; BUCKETS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Latencies {
    /// How many were added.
    pub fn add(&mut self, latency: &Latency) -> u64 {
        let mut added = 0;
        for (sum, bucket) in self.0.iter_mut().zip(&latency.0) {
            let count = bucket.load(Relaxed);
            *sum += count;
            added += count;
        }
        added
    }

    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|index| self.0[index].saturating_sub(earlier.0[index])))
    }

    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// What a share `of` the observations took at most, straight between the ends of its bucket: wrong by an eighth at the
    /// very worst, by a few percent as a rule. `None` when there are none.
    pub fn quantile(&self, of: f64) -> Option<Duration> {
        let count = self.count();
        // The rank, from 1.
        let rank = (of.clamp(0.0, 1.0) * count as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        for (index, &here) in self.0.iter().enumerate() {
            if below + here >= rank {
                let share = ((rank - below) as f64 - 0.5) / here as f64;
                let (from, to) = (begin(index), begin(index + 1));
                return Some(Duration::from_nanos(from + ((to - from) as f64 * share) as u64));
            }
            below += here;
        }
        None
    }
}

fn bucket(duration: Duration) -> usize {
    let units = (duration.as_nanos() as u64) >> UNIT;
    let octave = (units | 1).ilog2().saturating_sub(FINE);
    let index = (u64::from(octave) << FINE) + (units >> octave);
    (index as usize).min(BUCKETS - 1)
}

/// Nanoseconds where a bucket begins.
fn begin(index: usize) -> u64 {
    let octave = (index >> FINE).saturating_sub(1);
    ((index - (octave << FINE)) as u64) << octave << UNIT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn latencies(micros: &[u64]) -> Latencies {
        let latency = Latency::default();
        for &micros in micros {
            latency.observe(Duration::from_micros(micros));
        }
        let mut sum = Latencies::default();
        sum.add(&latency);
        sum
    }

    #[test]
    fn buckets_follow_on_each_other_and_none_is_too_wide() {
        for index in 0..BUCKETS {
            let (from, to) = (begin(index), begin(index + 1));
            assert_eq!(bucket(Duration::from_nanos(from)), index);
            assert_eq!(bucket(Duration::from_nanos(to - 1)), index);
            assert!(index < 8 || to - from <= from / 8, "{index}: {from}..{to}");
        }
        assert!(begin(BUCKETS) > Duration::from_mins(2).as_nanos() as u64);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(latencies(&[]).quantile(0.5), None);
    }

    #[test]
    fn what_was_gained_is_told_apart() {
        let (earlier, later) = (latencies(&[1_000; 10]), latencies(&[[1_000; 10], [80_000; 10]].concat()));
        let gained = later.since(&earlier);
        assert_eq!(gained.count(), 10);
        let median = gained.quantile(0.5).unwrap().as_secs_f64();
        assert!((median - 0.08).abs() < 0.005, "{median}");
    }

    proptest! {
        #[test]
        fn a_quantile_is_near_the_observation_of_its_rank(
            mut micros in prop::collection::vec(66_u64..120_000_000, 1..400),
            of in 0.0..=1.0_f64,
        ) {
            let told = latencies(&micros).quantile(of).unwrap().as_secs_f64() * 1e6;
            micros.sort_unstable();
            let rank = ((of * micros.len() as f64).ceil() as usize).clamp(1, micros.len());
            let exact = micros[rank - 1] as f64;
            prop_assert!((told - exact).abs() <= exact / 8.0, "{told} for {exact}");
        }

        #[test]
        fn of_an_even_spread_it_is_within_a_tenth(
            (low, high) in (100_u64..100_000, 2_u64..50).prop_map(|(low, times)| (low, low * times)),
            of in prop::sample::select(vec![0.5, 0.9, 0.95, 0.99]),
        ) {
            let steps = 2_000;
            let micros: Vec<u64> = (0..steps).map(|step| low + (high - low) * step / steps).collect();
            let told = latencies(&micros).quantile(of).unwrap().as_secs_f64() * 1e6;
            let exact = low as f64 + (high - low) as f64 * of;
            prop_assert!((told - exact).abs() <= exact * 0.1 + 5.0, "{told} for {exact}");
        }
    }
}
