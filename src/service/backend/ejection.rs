//! Taking a backend out that fails requests although its probes pass, for a time that grows while it goes on failing.
//!
//! Pure: takes `now` and the config's numbers, reads no clock. The failures are counted by [`super::Backend`]; how many may be
//! out at once is decided by [`crate::service::Pool::eject`].

use std::time::{Duration, Instant};

/// The longest ejection, however often the backend has failed.
const LONGEST: Duration = Duration::from_mins(5);

/// A backend that has served for this many times as long as it was out counts as good again: its next ejection is a first one.
const FORGETS_AFTER: u32 = 10;

/// One backend's ejections, the present one and the last.
#[derive(Debug, Default)]
pub(super) struct Ejections {
    present: Option<Ejected>,
    /// How long the last one took and when it ended.
    last: Option<(Duration, Instant)>,
}

/// Out, until when and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ejected {
    pub until: Instant,
    /// What the last failure was: `connection refused`.
    pub why: String,
    lasts: Duration,
    /// `max_fails` less one: when the backend is back, one failure takes it out again.
    pub(super) streak: u32,
}

impl Ejections {
    pub fn present(&self) -> Option<&Ejected> {
        self.present.as_ref()
    }

    /// Out from `now` on, for `first` or twice as long as the last time; answers for how long.
    pub fn eject(&mut self, now: Instant, first: Duration, max_fails: u32, why: String) -> Duration {
        let remembered = self.last.filter(|(lasted, ended)| now.duration_since(*ended) < *lasted * FORGETS_AFTER);
        let lasts = remembered.map_or(first, |(lasted, _)| (lasted * 2).min(LONGEST).max(first));
        self.present = Some(Ejected { until: now + lasts, why, lasts, streak: max_fails.saturating_sub(1) });
        lasts
    }

    /// Back in, if its time is over.
    pub fn end(&mut self, now: Instant) -> Option<Ejected> {
        if self.present.as_ref()?.until > now {
            return None;
        }
        self.cut_short(now)
    }

    /// Back in before its time.
    pub fn cut_short(&mut self, now: Instant) -> Option<Ejected> {
        let ended = self.present.take()?;
        self.last = Some((ended.lasts, now));
        Some(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(10);

    /// Ejects and waits it out; answers for how long, and when it was over.
    fn round(ejections: &mut Ejections, now: Instant) -> (u64, Instant) {
        let lasts = ejections.eject(now, FIRST, 3, "refused".into());
        assert_eq!(ejections.end(now + lasts.saturating_sub(Duration::from_millis(1))), None, "too early");
        assert!(ejections.end(now + lasts).is_some());
        (lasts.as_secs(), now + lasts)
    }

    #[test]
    fn each_ejection_in_a_row_is_twice_as_long_and_none_longer_than_five_minutes() {
        let (mut ejections, mut now) = (Ejections::default(), Instant::now());
        let mut took = Vec::new();
        for _ in 0..7 {
            let (seconds, over) = round(&mut ejections, now);
            took.push(seconds);
            now = over + Duration::from_secs(1);
        }
        assert_eq!(took, [10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn a_backend_that_behaves_for_ten_times_as_long_starts_anew() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        let (_, over) = round(&mut ejections, now);
        let (took, over) = round(&mut ejections, over + Duration::from_secs(99));
        assert_eq!(took, 20, "not yet forgotten");
        assert_eq!(round(&mut ejections, over + Duration::from_secs(200)).0, 10);
    }

    #[test]
    fn a_first_ejection_longer_than_the_longest_is_as_configured() {
        let (mut ejections, now) = (Ejections::default(), Instant::now());
        let hour = Duration::from_hours(1);
        assert_eq!(ejections.eject(now, hour, 1, String::new()), hour);
        ejections.end(now + hour);
        assert_eq!(ejections.eject(now + hour, hour, 1, String::new()), hour);
    }
}
