//! What came of the exchanges, per kind: how many, how long they took, how many were lost and why.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// A kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    H1,
    H2,
    Post,
    /// Opening a tunnel, and each message that is echoed through it.
    WebSocket,
    Download,
}

impl Kind {
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

/// All kinds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: [RefCell<Counts>; 5],
}

/// One kind.
#[derive(Debug, Default, Clone)]
pub(super) struct Counts {
    took: Vec<Duration>,
    /// How often by cause.
    lost: BTreeMap<String, u64>,
}

impl Tally {
    pub fn done(&self, kind: Kind, took: Duration) {
        self.counts[kind as usize].borrow_mut().took.push(took);
    }

    pub fn failed(&self, kind: Kind, why: String) {
        *self.counts[kind as usize].borrow_mut().lost.entry(why).or_default() += 1;
    }

    /// One kind, its times sorted.
    pub fn of(&self, kind: Kind) -> Counts {
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

    /// The time that this many in a hundred did not exceed, by nearest rank; of sorted counts. `None` when none was answered.
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
        let tally = Tally::default();
        for ms in (1..=200).rev() {
            tally.done(Kind::Post, Duration::from_millis(ms));
        }
        let counts = tally.of(Kind::Post);
        assert_eq!(counts.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(counts.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(tally.of(Kind::H1).percentile(50), None);
    }

    #[test]
    fn what_is_lost_counts_as_an_exchange() {
        let tally = Tally::default();
        tally.done(Kind::H2, Duration::from_millis(1));
        tally.failed(Kind::H2, "got 502".to_owned());
        tally.failed(Kind::H2, "got 502".to_owned());
        assert_eq!((tally.all(), tally.lost()), (3, 2));
        assert_eq!(tally.of(Kind::H2).causes()["got 502"], 2);
    }
}
