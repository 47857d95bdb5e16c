//! What is inside a pool, by kind: counted when someone asks, never on a request's way.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::live::Live;
use crate::service::Pool;

/// What an exchange is, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Its answer has not begun.
    Request,
    /// The same, with a body.
    Upload,
    /// Its answer is on the way.
    Download,
    /// The same, without an end: `text/event-stream`.
    EventStream,
    Websocket,
    /// Another protocol after a 101.
    Tunnel,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Request, Self::Upload, Self::Download, Self::EventStream, Self::Websocket, Self::Tunnel];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::EventStream => "event_stream",
            Self::Websocket => "websocket",
            Self::Tunnel => "tunnel",
        }
    }
}

/// Asks the cores; one answer for each pool, in their order.
pub type AskCores = Arc<dyn Fn(Question) -> BoxFuture<'static, Vec<Census>> + Send + Sync>;

/// What a census is to count.
#[derive(Debug, Clone)]
pub struct Question {
    pub pools: Arc<[Arc<Pool>]>,
    /// [`Census::waiting`]: those whose backend has been waited for since a moment within.
    pub waiting_since: Range<Instant>,
}

/// What is inside a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    /// In the order of [`Kind::ALL`].
    kinds: [Tally; Kind::ALL.len()],
    /// Exchanges that a backend has neither answered nor gone on taking.
    pub waiting: usize,
}

/// Those of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: usize,
    /// How long the oldest has run.
    pub oldest: Duration,
}

impl Census {
    /// One core's share of each of these pools.
    pub(super) fn take<'a>(question: &Question, live: impl Iterator<Item = &'a Live>, now: Instant) -> Vec<Self> {
        let Question { pools, waiting_since } = question;
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

    /// Adds what another core has counted.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.kinds.iter_mut().zip(other.kinds) {
            mine.count += theirs.count;
            mine.oldest = mine.oldest.max(theirs.oldest);
        }
        self.waiting += other.waiting;
    }

    /// The kinds there are any of.
    pub fn present(&self) -> impl Iterator<Item = (Kind, Tally)> {
        Kind::ALL.into_iter().zip(self.kinds).filter(|(_, tally)| tally.count > 0)
    }

    fn count(&mut self, kind: Kind, age: Duration) {
        let tally = &mut self.kinds[kind as usize];
        tally.count += 1;
        tally.oldest = tally.oldest.max(age);
    }
}

impl Question {
    /// Who is inside, and no more.
    pub fn of(pools: Arc<[Arc<Pool>]>) -> Self {
        let now = Instant::now();
        Self { pools, waiting_since: now..now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_added_up_and_the_oldest_is_that_of_all() {
        let (mut one, mut two) = (Census::default(), Census::default());
        one.count(Kind::Websocket, Duration::from_secs(3));
        two.count(Kind::Websocket, Duration::from_secs(7));
        two.count(Kind::Upload, Duration::from_secs(1));
        one.add(&two);
        let present: Vec<_> = one.present().map(|(kind, tally)| (kind, tally.count, tally.oldest.as_secs())).collect();
        assert_eq!(present, [(Kind::Upload, 1, 1), (Kind::Websocket, 2, 7)]);
    }

    #[test]
    fn kinds_are_in_their_places_and_named_alike() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
