//! What is inside a pool, by kind: counted on demand, never on a request's way.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::exchange::{ExchangeKind, ExchangeState};
use crate::service::Pool;

/// What a census is to count.
#[derive(Debug, Clone)]
pub struct CensusQuery {
    pub pools: Arc<[Arc<Pool>]>,
    /// [`Census::waiting`] counts exchanges that have waited for their backend since a moment in this range.
    pub waiting_since: Range<Instant>,
}

/// What is inside a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// In the order of [`ExchangeKind::ALL`].
    kinds: [KindCount; ExchangeKind::ALL.len()],
    /// Exchanges that wait for their backend: it has not answered, or has stopped taking the request.
    pub waiting: usize,
}

/// The exchanges of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCount {
    pub count: usize,
    /// How long the oldest has run.
    pub oldest: Duration,
}

impl Census {
    /// One worker's share of each of these pools.
    pub fn take<'a>(query: &CensusQuery, live: impl Iterator<Item = &'a ExchangeState>, now: Instant) -> Vec<Self> {
        let CensusQuery { pools, waiting_since } = query;
        let mut all = vec![Self::default(); pools.len()];
        for live in live {
            let place = pools.iter().position(|pool| live.is_in(pool));
            if let Some(census) = place.and_then(|place| all.get_mut(place)) {
                census.count(live.kind(), now.saturating_duration_since(live.started()));
                let waits = live.awaits_backend().is_some_and(|since| waiting_since.contains(&since));
                census.waiting += usize::from(waits);
            }
        }
        all
    }

    /// Adds what another worker has counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.kinds.iter_mut().zip(other.kinds) {
            mine.count += theirs.count;
            mine.oldest = mine.oldest.max(theirs.oldest);
        }
        self.waiting += other.waiting;
    }

    /// The kinds that have any exchange.
    pub fn present(&self) -> impl Iterator<Item = (ExchangeKind, KindCount)> {
        ExchangeKind::ALL.into_iter().zip(self.kinds).filter(|(_, tally)| tally.count > 0)
    }

    fn count(&mut self, kind: ExchangeKind, age: Duration) {
        let tally = &mut self.kinds[kind as usize];
        tally.count += 1;
        tally.oldest = tally.oldest.max(age);
    }
}

impl CensusQuery {
    /// What is inside, and no more.
    pub fn of(pools: Arc<[Arc<Pool>]>) -> Self {
        let now = Instant::now();
        Self { pools, waiting_since: now..now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up_and_the_oldest_is_that_of_all() {
        let (mut one, mut two) = (Census::default(), Census::default());
        one.count(ExchangeKind::Websocket, Duration::from_secs(3));
        two.count(ExchangeKind::Websocket, Duration::from_secs(7));
        two.count(ExchangeKind::Upload, Duration::from_secs(1));
        one.add(&two);
        let present: Vec<_> = one.present().map(|(kind, tally)| (kind, tally.count, tally.oldest.as_secs())).collect();
        assert_eq!(present, [(ExchangeKind::Upload, 1, 1), (ExchangeKind::Websocket, 2, 7)]);
    }

    #[test]
    fn kinds_are_in_their_places_and_named_alike() {
        for (place, kind) in ExchangeKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
