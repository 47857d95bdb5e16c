//! How a colour did in the last minutes: samples of [`Totals`], the newest less an older one.
//!
//! Bounded: one a second for a minute, one in ten seconds for four more. A sample that equals the one before shares its
//! memory, so a colour that idles costs next to nothing. Never reads a clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::outcome::Totals;
use crate::types::Color;

/// How long every sample is kept.
const FINE: Duration = Duration::from_mins(1);

/// How far apart they are beyond.
const COARSE_STEP: Duration = Duration::from_secs(10);

/// How long any is kept: the longest window there is.
const KEPT: Duration = Duration::from_mins(5);

/// About how far apart samples come.
const SECOND: Duration = Duration::from_secs(1);

/// Fine samples at most, should they come faster than one a second.
const MOST: usize = 64;

/// One colour's samples.
#[derive(Debug, Default)]
pub struct Recent {
    /// Oldest first, all older than those of `fine`.
    coarse: VecDeque<Sample>,
    fine: VecDeque<Sample>,
}

#[derive(Debug, Clone)]
struct Sample {
    at: Instant,
    totals: Arc<Totals>,
}

impl Recent {
    /// Samples come in order of time.
    pub fn push(&mut self, now: Instant, totals: Totals) {
        let last = self.fine.back().filter(|last| *last.totals == totals);
        let totals = last.map_or_else(|| Arc::new(totals), |last| last.totals.clone());
        self.fine.push_back(Sample { at: now, totals });
        while let Some(old) = self.fine.pop_front_if(|old| age(old, now) > FINE) {
            self.thin_out(old);
        }
        if self.fine.len() > MOST
            && let Some(old) = self.fine.pop_front()
        {
            self.thin_out(old);
        }
        while self.coarse.pop_front_if(|old| age(old, now) > KEPT).is_some() {}
    }

    /// What has come within `window` before `now`, as far as there are samples; `None` when there are not two.
    pub fn over(&self, window: Duration, now: Instant) -> Option<Totals> {
        let (first, last) = self.ends(window, now)?;
        Some(last.totals.since(&first.totals))
    }

    /// Requests a second, over the time the samples within `window` span; `None` as in [`Self::over`].
    pub fn per_second(&self, window: Duration, now: Instant) -> Option<f64> {
        let (first, last) = self.ends(window, now)?;
        let span = last.at.duration_since(first.at).as_secs_f64();
        let requests = last.totals.requests.saturating_sub(first.totals.requests);
        (span > 0.0).then(|| requests as f64 / span)
    }

    /// Requests a second in the last second, of which `totals` is the end: since the newest sample that is a second old, so over at
    /// most two seconds; `None` without such a sample.
    pub fn last_second(&self, totals: &Totals, now: Instant) -> Option<f64> {
        let is_fit = |sample: &&Sample| (SECOND..SECOND * 3).contains(&age(sample, now));
        let before = self.fine.iter().rev().find(is_fit)?;
        let requests = totals.requests.saturating_sub(before.totals.requests);
        Some(requests as f64 / age(before, now).as_secs_f64())
    }

    fn ends(&self, window: Duration, now: Instant) -> Option<(&Sample, &Sample)> {
        let mut within = self.coarse.iter().chain(&self.fine).skip_while(|sample| age(sample, now) > window);
        let first = within.next()?;
        Some((first, within.last()?))
    }

    /// Keeps what left the fine ones when the last kept is far enough.
    fn thin_out(&mut self, old: Sample) {
        if self.coarse.back().is_none_or(|kept| old.at.duration_since(kept.at) >= COARSE_STEP) {
            self.coarse.push_back(old);
        }
    }
}

fn age(sample: &Sample, now: Instant) -> Duration {
    now.saturating_duration_since(sample.at)
}

/// Every service's colours. Written once a second and read by the watch and the status, never by a request.
#[derive(Debug, Default)]
pub struct Recents(Mutex<BTreeMap<Arc<str>, [Recent; 2]>>);

impl Recents {
    /// [`Recent::over`] of a colour; `None` stands for the one pool of a service without colours.
    pub fn over(&self, service: &str, color: Option<Color>, window: Duration, now: Instant) -> Option<Totals> {
        self.0.lock().get(service)?[slot(color)].over(window, now)
    }

    /// [`Recent::per_second`] of the same.
    pub fn per_second(&self, service: &str, color: Option<Color>, window: Duration, now: Instant) -> Option<f64> {
        self.0.lock().get(service)?[slot(color)].per_second(window, now)
    }

    /// [`Recent::last_second`] of the same, whose totals are these by now.
    pub fn last_second(&self, service: &str, color: Option<Color>, totals: &Totals, now: Instant) -> Option<f64> {
        self.0.lock().get(service)?[slot(color)].last_second(totals, now)
    }

    /// Takes one sample of each service, and forgets those that are not among them.
    pub(super) fn keep(&self, services: impl Iterator<Item = (Arc<str>, [Totals; 2])>, now: Instant) {
        let mut all = self.0.lock();
        let mut before = std::mem::take(&mut *all);
        for (name, totals) in services {
            let mut recents = before.remove(&name).unwrap_or_default();
            for (recent, totals) in recents.iter_mut().zip(totals) {
                recent.push(now, totals);
            }
            all.insert(name, recents);
        }
    }
}

fn slot(color: Option<Color>) -> usize {
    color.map_or(0, Color::index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(requests: u64) -> Totals {
        let mut totals = Totals::default();
        totals.requests = requests;
        totals
    }

    /// Ten requests a second.
    fn filled(begin: Instant, seconds: u32) -> Recent {
        let mut recent = Recent::default();
        for second in 0..=seconds {
            recent.push(begin + SECOND * second, totals(u64::from(second) * 10));
        }
        recent
    }

    #[test]
    fn a_window_has_what_came_within_it() {
        let begin = Instant::now();
        let recent = filled(begin, 30);
        let now = begin + SECOND * 30;
        let over = |window, now| recent.over(window, now).map(|totals| totals.requests);
        assert_eq!(over(SECOND * 10, now), Some(100));
        assert_eq!(over(SECOND * 10, now + SECOND / 2), Some(90));
        assert_eq!(over(SECOND * 300, now), Some(300));
        assert_eq!(over(SECOND * 10, now + SECOND * 10), None);
        assert_eq!(recent.per_second(SECOND * 10, now + SECOND / 2), Some(10.0));
        assert_eq!(Recent::default().over(SECOND, now), None);
        assert_eq!(filled(begin, 0).over(SECOND * 10, begin), None);
    }

    #[test]
    fn the_last_second_forgets_what_was_before() {
        let begin = Instant::now();
        let mut recent = filled(begin, 30);
        let now = begin + SECOND * 30;
        assert_eq!(recent.last_second(&totals(300), now), Some(10.0));
        assert_eq!(recent.last_second(&totals(305), now + SECOND / 2), Some(10.0), "the present is its end");
        for second in 31..=32 {
            recent.push(begin + SECOND * second, totals(300));
        }
        assert_eq!(recent.last_second(&totals(300), begin + SECOND * 32), Some(0.0));
        assert_eq!(recent.per_second(SECOND * 10, begin + SECOND * 32), Some(8.0), "the mean is of longer");
        assert_eq!(recent.last_second(&totals(300), begin + SECOND * 40), None, "the samples have stopped");
        assert_eq!(Recent::default().last_second(&totals(1), now), None);
    }

    #[test]
    fn five_minutes_are_kept_and_no_more() {
        let begin = Instant::now();
        let recent = filled(begin, 3_600);
        let kept = recent.coarse.len() + recent.fine.len();
        assert!(kept < 90, "{kept} samples");
        let over = recent.over(KEPT, begin + SECOND * 3_600).unwrap();
        assert!((2_900..=3_000).contains(&over.requests), "{}", over.requests);
    }

    #[test]
    fn samples_that_come_too_fast_are_bounded() {
        let mut recent = Recent::default();
        let begin = Instant::now();
        for step in 0..100_000 {
            recent.push(begin + Duration::from_millis(1) * step, totals(u64::from(step)));
        }
        assert!(recent.coarse.len() + recent.fine.len() < 90);
    }

    #[test]
    fn an_idle_colour_shares_one_sample() {
        let mut recent = Recent::default();
        let begin = Instant::now();
        for second in 0..30 {
            recent.push(begin + SECOND * second, totals(7));
        }
        assert!(recent.fine.iter().all(|sample| Arc::ptr_eq(&sample.totals, &recent.fine[0].totals)));
    }

    #[test]
    fn a_service_that_left_is_forgotten() {
        let recents = Recents::default();
        let begin = Instant::now();
        let both = |requests| [totals(requests), totals(0)];
        for second in 0..3 {
            let now = begin + SECOND * second;
            recents.keep([("app".into(), both(u64::from(second))), ("old".into(), both(0))].into_iter(), now);
        }
        let now = begin + SECOND * 3;
        assert_eq!(recents.over("app", Some(Color::Blue), SECOND * 10, now).unwrap().requests, 2);
        assert_eq!(recents.over("app", None, SECOND * 10, now).unwrap().requests, 2);
        assert!(recents.over("old", None, SECOND * 10, now).is_some());
        recents.keep([("app".into(), both(9))].into_iter(), now);
        assert!(recents.over("old", None, SECOND * 10, now).is_none());
    }
}
