//! Whether a watched colour keeps its bounds. Pure.

use std::time::Duration;

use crate::config;
use crate::control::messages::VerdictKind;
use crate::types::show_duration;

/// An answer that takes less than this is slow at most, and slowness is judged only if `max_latency_ratio` is set.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// How long the old colour took before the flip; `None` if it had no requests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Baseline {
    pub p95: Option<Duration>,
    pub slowest: Option<Duration>,
}

/// The bounds of the new colour.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub max_error_rate: f64,
    /// Zero: latency is not judged.
    pub max_latency_ratio: f64,
    pub min_requests: u64,
    pub baseline_p95: Option<Duration>,
    /// A request without an answer for longer than this has failed.
    pub patience: Duration,
}

/// What the new colour has done so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct WatchFigures {
    /// Requests that have ended.
    pub requests: u64,
    /// Of these, the failed ones.
    pub failed: u64,
    pub p95: Option<Duration>,
    /// Requests that have not ended.
    pub in_flight: usize,
    /// Of these, without an answer for longer than the bounds' patience.
    pub unanswered: u64,
    /// Whether any of its backends can serve.
    pub is_healthy: bool,
}

/// A verdict, as soon as there is one. Too many failures, a latency out of bounds and a dead pool end the watch at once; any
/// other verdict waits for the end.
pub fn judge(observed: &WatchFigures, bounds: &Bounds, is_over: bool) -> Option<(VerdictKind, String)> {
    let (requests, failed) = (observed.all(), observed.all_failed());
    if !observed.is_healthy {
        return Some((VerdictKind::RolledBack, "none of its backends is healthy any more".to_owned()));
    }
    let is_enough = requests >= bounds.min_requests;
    let rate = failed as f64 / requests.max(1) as f64;
    let share = match requests {
        0 => "no answers".to_owned(),
        _ => format!("{failed} of {requests} answers failed"),
    };
    let hanging = match observed.unanswered {
        0 => String::new(),
        count => format!("; {count} of them had not come after {}", show_duration(bounds.patience)),
    };
    if is_enough && rate > bounds.max_error_rate {
        let why = format!("{share} ({}), more than {}{hanging}", percent(rate), percent(bounds.max_error_rate));
        return Some((VerdictKind::RolledBack, why));
    }
    if is_enough
        && bounds.max_latency_ratio > 0.0
        && let (Some(p95), Some(baseline)) = (observed.p95, bounds.baseline_p95)
        && p95.as_secs_f64() > baseline.as_secs_f64() * bounds.max_latency_ratio
    {
        let (p95, baseline, ratio) = (show(p95), show(baseline), bounds.max_latency_ratio);
        return Some((
            VerdictKind::RolledBack,
            format!("its p95 is {p95}, more than {ratio} times the {baseline} before"),
        ));
    }
    match (is_over, is_enough) {
        (false, _) => None,
        (true, true) => Some((VerdictKind::Passed, share + &hanging)),
        (true, false) => {
            let few = format!("{share}: fewer than {} to judge by{hanging}", bounds.min_requests);
            let unanswered = Some(observed.in_flight).filter(|in_flight| *in_flight > 0);
            let waiting = unanswered.map(|count| format!("; {count} in flight have not ended")).unwrap_or_default();
            Some((VerdictKind::Inconclusive, few + &waiting))
        }
    }
}

impl Bounds {
    /// For a watch of this length.
    pub fn new(config: &config::Switch, baseline: Baseline, length: Duration) -> Self {
        let config::Switch { max_error_rate, max_latency_ratio, min_requests, .. } = *config;
        let patience = patience(length, baseline.slowest);
        Self { max_error_rate, max_latency_ratio, min_requests, baseline_p95: baseline.p95, patience }
    }
}

impl WatchFigures {
    pub fn all(&self) -> u64 {
        self.requests + self.unanswered
    }

    pub fn all_failed(&self) -> u64 {
        self.failed + self.unanswered
    }
}

/// Half of the watch, or the time of the old colour's slowest answer if that is longer.
fn patience(length: Duration, slowest: Option<Duration>) -> Duration {
    (length / 2).max(slowest.unwrap_or_default()).max(LEAST_PATIENCE)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_error_rate: 0.05,
        max_latency_ratio: 2.0,
        min_requests: 20,
        baseline_p95: Some(Duration::from_millis(10)),
        patience: Duration::from_secs(15),
    };

    fn observed(requests: u64, failed: u64) -> WatchFigures {
        WatchFigures { requests, failed, is_healthy: true, ..WatchFigures::default() }
    }

    fn kind(requests: u64, failed: u64, p95_ms: u64, is_over: bool) -> Option<VerdictKind> {
        let observed = WatchFigures { p95: Some(Duration::from_millis(p95_ms)), ..observed(requests, failed) };
        judge(&observed, &BOUNDS, is_over).map(|(kind, _)| kind)
    }

    #[test]
    fn too_many_failures_end_the_watch_once_there_are_enough_requests() {
        assert_eq!(kind(19, 19, 1, false), None);
        assert_eq!(kind(20, 2, 1, false), Some(VerdictKind::RolledBack));
        assert_eq!(kind(20, 1, 1, false), None, "the bound itself is kept");
        assert_eq!(kind(1000, 51, 1, false), Some(VerdictKind::RolledBack));
    }

    #[test]
    fn few_requests_are_no_verdict() {
        assert_eq!(kind(0, 0, 1, true), Some(VerdictKind::Inconclusive));
        assert_eq!(kind(19, 19, 100, true), Some(VerdictKind::Inconclusive));
        assert_eq!(kind(20, 1, 1, true), Some(VerdictKind::Passed));
        let waits = WatchFigures { in_flight: 25, ..observed(3, 0) };
        assert!(judge(&waits, &BOUNDS, true).unwrap().1.ends_with("; 25 in flight have not ended"));
    }

    #[test]
    fn patience_is_half_the_watch_unless_the_old_colour_needed_more() {
        let patience = |length, slowest: Option<u64>| {
            patience(Duration::from_secs(length), slowest.map(Duration::from_secs)).as_secs()
        };
        assert_eq!(patience(30, None), 15);
        assert_eq!(patience(30, Some(2)), 15);
        assert_eq!(patience(30, Some(25)), 25, "a long poll");
        assert_eq!(patience(2, Some(1)), 5, "a slow start is no failure");
    }

    #[test]
    fn what_hangs_has_failed() {
        let hangs = WatchFigures { unanswered: 16, in_flight: 40, ..observed(4, 1) };
        let (kind, why) = judge(&hangs, &BOUNDS, false).unwrap();
        assert_eq!(kind, VerdictKind::RolledBack);
        assert_eq!(why, "17 of 20 answers failed (85.0 %), more than 5.0 %; 16 of them had not come after 15s");
        let few = WatchFigures { unanswered: 1, ..observed(99, 0) };
        assert_eq!(judge(&few, &BOUNDS, true).unwrap().0, VerdictKind::Passed);
    }

    #[test]
    fn latency_is_judged_only_where_it_is_asked_for_and_known() {
        assert_eq!(kind(20, 0, 21, false), Some(VerdictKind::RolledBack));
        assert_eq!(kind(20, 0, 20, false), None);
        let observed = WatchFigures { p95: Some(Duration::from_secs(9)), ..observed(20, 0) };
        let unasked = Bounds { max_latency_ratio: 0.0, ..BOUNDS };
        let unknown = Bounds { baseline_p95: None, ..BOUNDS };
        for bounds in [unasked, unknown] {
            assert_eq!(judge(&observed, &bounds, true).unwrap().0, VerdictKind::Passed);
        }
    }

    #[test]
    fn a_dead_pool_ends_the_watch_without_requests() {
        assert_eq!(judge(&WatchFigures::default(), &BOUNDS, false).unwrap().0, VerdictKind::RolledBack);
    }

    fn why(observed: &WatchFigures, is_over: bool) -> String {
        judge(observed, &BOUNDS, is_over).unwrap().1
    }

    #[test]
    fn a_verdict_says_its_figures_and_nothing_that_did_not_happen() {
        assert_eq!(why(&observed(20, 1), true), "1 of 20 answers failed");
        assert_eq!(why(&observed(0, 0), true), "no answers: fewer than 20 to judge by");
        assert_eq!(why(&observed(3, 1), true), "1 of 3 answers failed: fewer than 20 to judge by");
        assert_eq!(why(&observed(20, 2), false), "2 of 20 answers failed (10.0 %), more than 5.0 %");
        let slow = WatchFigures { p95: Some(Duration::from_millis(21)), ..observed(20, 0) };
        assert_eq!(why(&slow, false), "its p95 is 21.0 ms, more than 2 times the 10.0 ms before");
    }

    #[test]
    fn slow_answers_are_no_verdict_before_there_are_enough() {
        assert_eq!(kind(19, 0, 100, false), None);
        assert_eq!(kind(20, 0, 100, false), Some(VerdictKind::RolledBack));
    }
}
