//! Durations and their quantiles. All are kept, in microseconds: a few hundred thousand at most.

use std::time::Duration;

#[derive(Debug, Default, Clone)]
pub struct Spread {
    micros: Vec<u32>,
}

impl Spread {
    pub fn add(&mut self, duration: Duration) {
        self.micros.push(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX));
    }

    pub fn merge(&mut self, other: &Spread) {
        self.micros.extend_from_slice(&other.micros);
    }

    pub fn len(&self) -> usize {
        self.micros.len()
    }

    /// The smallest of them that at least `share` of them don't exceed (nearest rank), for each share; zero when there are none.
    pub fn quantiles<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        shares.map(|share| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.max(1) - 1).copied().map_or(0.0, f64::from)
        })
    }
}
