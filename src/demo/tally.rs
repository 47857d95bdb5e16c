//! The exchanges of each kind: how many, how long they took, how many were lost and why.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrafficKind {
    H1,
    H2,
    Post,
    /// The opening of a tunnel, and each message that comes back through it.
    WebSocket,
    Download,
}

impl TrafficKind {
    pub const ALL: [Self; 5] = [Self::H1, Self::H2, Self::Post, Self::WebSocket, Self::Download];

    pub fn label(self) -> &'static str {
        match self {
            Self::H1 => "h1 GET",
            Self::H2 => "h2 GET",
            Self::Post => "POST",
            Self::WebSocket => "WebSocket",
            Self::Download => "long download",
        }
    }
}

/// The exchanges of all kinds.
#[derive(Debug, Default)]
pub(super) struct ExchangeTally {
    counts: [RefCell<Counts>; 5],
}

/// The exchanges of one kind.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    took: Vec<Duration>,
    /// How often, by cause.
    lost: BTreeMap<String, u64>,
}

impl ExchangeTally {
    pub fn done(&self, kind: TrafficKind, took: Duration) {
        self.counts[kind as usize].borrow_mut().took.push(took);
    }

    pub fn failed(&self, kind: TrafficKind, why: String) {
        *self.counts[kind as usize].borrow_mut().lost.entry(why).or_default() += 1;
    }

    /// The exchanges of one kind, with their times sorted.
    pub fn of(&self, kind: TrafficKind) -> Counts {
        let mut counts = self.counts[kind as usize].borrow().clone();
        counts.took.sort_unstable();
        counts
    }

    pub fn lost(&self) -> u64 {
        self.counts.iter().map(|counts| counts.borrow().lost()).sum()
    }

    /// Answered and lost.
    pub fn all(&self) -> u64 {
        self.counts.iter().map(|counts| counts.borrow().all()).sum()
    }
}

impl Counts {
    pub fn all(&self) -> u64 {
        self.took.len() as u64 + self.lost()
    }

    pub fn lost(&self) -> u64 {
        self.lost.values().sum()
    }

    pub fn causes(&self) -> &BTreeMap<String, u64> {
        &self.lost
    }

    /// The time that this many in a hundred did not exceed, by nearest rank. Needs sorted counts. `None` without answers.
    pub fn percentile(&self, hundredths: usize) -> Option<Duration> {
        let rank = (self.took.len() * hundredths).div_ceil(100);
        self.took.get(rank.max(1) - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let tally = ExchangeTally::default();
        for ms in (1..=200).rev() {
            tally.done(TrafficKind::Post, Duration::from_millis(ms));
        }
        let counts = tally.of(TrafficKind::Post);
        assert_eq!(counts.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(counts.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(tally.of(TrafficKind::H1).percentile(50), None);
    }

    #[test]
    fn what_is_lost_counts_as_an_exchange() {
        let tally = ExchangeTally::default();
        tally.done(TrafficKind::H2, Duration::from_millis(1));
        tally.failed(TrafficKind::H2, "got 502".to_owned());
        tally.failed(TrafficKind::H2, "got 502".to_owned());
        assert_eq!((tally.all(), tally.lost()), (3, 2));
        assert_eq!(tally.of(TrafficKind::H2).causes()["got 502"], 2);
    }
}
