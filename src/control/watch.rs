//! After a change: the new colour's answers are watched, and what does not keep its bounds loses the traffic again.
//!
//! [`judge`] is pure. The watch is a course of the ledger: it ends, without a verdict, as soon as anyone else moves the
//! traffic.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::asking::Asked;
use super::drain::Draining;
use super::gate::millis;
use super::ledger::Entry;
use super::operation::{Done, Event, Goal, Request, Verdict, Word};
use super::operator::{Events, Operator};
use super::plan;
use super::switch::micros;
use crate::config;
use crate::metrics::Totals;
use crate::service::{Active, Service};
use crate::types::{Color, show_duration};

/// How often the numbers are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What the old colour's p95 is taken over.
const BASELINE: Duration = Duration::from_mins(5);

/// What the new colour is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub max_error_rate: f64,
    /// Zero: latency is not judged.
    pub max_latency_ratio: f64,
    pub min_requests: u64,
    pub baseline_p95: Option<Duration>,
}

/// What has been seen of it so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub requests: u64,
    pub failed: u64,
    pub p95: Option<Duration>,
    /// Still without an end: what hangs is among them.
    pub in_flight: usize,
    /// Whether any of its backends can serve.
    pub is_healthy: bool,
}

/// A verdict, as soon as there is one: too many failures and a dead pool are told at once, all else at the end.
pub(super) fn judge(seen: &Seen, bounds: &Bounds, is_over: bool) -> Option<(Word, String)> {
    let Seen { requests, failed, .. } = *seen;
    if !seen.is_healthy {
        return Some((Word::RolledBack, "none of its backends is healthy any more".to_owned()));
    }
    let is_enough = requests >= bounds.min_requests;
    let rate = failed as f64 / requests.max(1) as f64;
    let share = format!("{failed} of {requests} answers failed");
    if is_enough && rate > bounds.max_error_rate {
        let why = format!("{share} ({}), more than {}", percent(rate), percent(bounds.max_error_rate));
        return Some((Word::RolledBack, why));
    }
    if is_enough
        && bounds.max_latency_ratio > 0.0
        && let (Some(p95), Some(baseline)) = (seen.p95, bounds.baseline_p95)
        && p95.as_secs_f64() > baseline.as_secs_f64() * bounds.max_latency_ratio
    {
        let (p95, baseline, ratio) = (show(p95), show(baseline), bounds.max_latency_ratio);
        return Some((Word::RolledBack, format!("its p95 is {p95}, more than {ratio} times the {baseline} before")));
    }
    match (is_over, is_enough) {
        (false, _) => None,
        (true, true) => Some((Word::Passed, share)),
        (true, false) => {
            let few = format!("{share}: fewer than {} to judge by", bounds.min_requests);
            let unanswered = Some(seen.in_flight).filter(|in_flight| *in_flight > 0);
            let waiting = unanswered.map(|count| format!("; {count} in flight have not ended")).unwrap_or_default();
            Some((Word::Inconclusive, few + &waiting))
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// What is watched, by which course, for how long.
pub(super) struct Subject {
    pub color: Color,
    pub generation: u64,
    pub course: Entry,
    pub length: Duration,
}

/// For how long a switch is watched; `None`: not at all. A way back is watched only if that was asked for: to leave it again by
/// itself would be to go where someone has just come from.
pub(super) fn watch_length(service: &Service, request: &Request) -> Option<Duration> {
    let by_config = if request.goal == Goal::Previous { Duration::ZERO } else { service.config().switch.watch };
    let length = request.options.watch.unwrap_or(by_config);
    (!length.is_zero()).then_some(length)
}

/// A watch that runs beside everything else.
pub(super) struct Watching(oneshot::Receiver<Watched>);

/// How it ended.
pub(super) struct Watched {
    pub verdict: Verdict,
    pub rolled_back: Option<RolledBack>,
}

/// The traffic is where it was before.
pub(super) struct RolledBack {
    pub generation: u64,
    pub draining: Draining,
}

impl Watching {
    /// `None` when the daemon is leaving.
    pub async fn ended(self) -> Option<Watched> {
        self.0.await.ok()
    }
}

impl Operator {
    /// The p95 of a colour in the last minutes.
    pub(super) fn recent_p95(&self, service: &Service, color: Color) -> Option<Duration> {
        let recents = self.shared.metrics.recents();
        recents.over(service.name(), Some(color), BASELINE, Instant::now())?.quantile(0.95)
    }

    pub(super) fn bounds(service: &Service, baseline_p95: Option<Duration>) -> Bounds {
        let config = service.config();
        let config::Switch { max_error_rate, max_latency_ratio, min_requests, .. } = config.switch;
        Bounds { max_error_rate, max_latency_ratio, min_requests, baseline_p95 }
    }

    /// Watches `to` for as long as was asked for; `None` where that is not at all.
    pub(super) fn start_watch(
        self: &Rc<Self>,
        service: &Arc<Service>,
        done: &Done,
        baseline: Option<Duration>,
        request: &Request,
        events: &Events,
    ) -> Option<Watching> {
        let length = watch_length(service, request)?;
        let (from, to, generation) = (done.from, done.to, done.generation);
        let _ = events.send(Event::Watching { color: to, for_ms: millis(length) });
        let course = self.ledger(service, super::ledger::Ledger::begin_course);
        let before = self.totals(service, to);
        let (report, reported) = oneshot::channel();
        let (operator, service, request) = (self.clone(), service.clone(), request.clone());
        let events = events.clone();
        // Ends with the watch's time, or when someone moves the traffic.
        tokio::task::spawn_local(async move {
            let bounds = Self::bounds(&service, baseline);
            let subject = Subject { color: to, generation, course, length };
            let verdict = operator.watch(&service, &subject, &bounds, &before).await;
            let watched = operator.conclude(&service, from, verdict, course, &request, &events).await;
            let _ = report.send(watched);
        });
        Some(Watching(reported))
    }

    pub(super) fn totals(&self, service: &Service, color: Color) -> Totals {
        let [blue, green] = self.shared.metrics.totals(service.name());
        if color == Color::Blue { blue } else { green }
    }

    /// Looks until there is a verdict on what the colour has answered since `before`.
    pub(super) async fn watch(
        &self,
        service: &Arc<Service>,
        subject: &Subject,
        bounds: &Bounds,
        before: &Totals,
    ) -> Verdict {
        let Subject { color, generation, course, length } = *subject;
        let started = Instant::now();
        let asked = Asked::default();
        let judged = async {
            loop {
                let is_over = started.elapsed() >= length;
                let now = self.totals(service, color).since(before);
                let seen = Seen {
                    requests: now.requests + asked.requests.get(),
                    failed: now.failed + asked.failed.get(),
                    p95: now.quantile(0.95),
                    in_flight: service.pool(color).requests(),
                    is_healthy: service.pool(color).has_healthy(),
                };
                if !self.ledger(service, |ledger| ledger.is_on(course)) {
                    return (seen, (Word::Ended, "someone moved the traffic before there was a verdict".to_owned()));
                }
                if let Some(verdict) = judge(&seen, bounds, is_over) {
                    return (seen, verdict);
                }
                tokio::time::sleep(LOOK.min(length.saturating_sub(started.elapsed()))).await;
            }
        };
        let asking = pin!(self.keep_asking(service, color, &asked, length));
        // Asking has no end of its own.
        let (seen, (verdict, why)) = match select(pin!(judged), asking).await {
            Either::Left((judged, _)) => judged,
            Either::Right((never, _)) => match never {},
        };
        Verdict {
            color,
            generation,
            verdict,
            requests: seen.requests,
            failed: seen.failed,
            max_error_rate: bounds.max_error_rate,
            min_requests: bounds.min_requests,
            p95_ms: seen.p95.map(|p95| p95.as_secs_f64() * 1e3),
            baseline_p95_ms: bounds.baseline_p95.map(|p95| p95.as_secs_f64() * 1e3),
            watched_ms: millis(started.elapsed()),
            why,
        }
    }

    /// Acts on the verdict of a watch after a flip: passes it on, or flips back.
    async fn conclude(
        self: &Rc<Self>,
        service: &Arc<Service>,
        from: Color,
        mut verdict: Verdict,
        course: Entry,
        request: &Request,
        events: &Events,
    ) -> Watched {
        let to = verdict.color;
        let watched = Duration::from_millis(verdict.watched_ms);
        self.shared.metrics.service(service.name()).phase("watch", watched);
        let mut rolled_back = None;
        if verdict.verdict == Word::RolledBack {
            match self.flip_back(service, from, to, course, events).await {
                Ok(generation) => {
                    let draining = self.start_drain(service, to, request, events);
                    rolled_back = Some(RolledBack { generation, draining });
                }
                Err(why) => {
                    verdict.verdict = Word::Failed;
                    verdict.why = format!("{}; not rolled back: {why}", verdict.why);
                }
            }
        }
        self.ledger(service, |ledger| ledger.end_course(course));
        let (name, for_) = (service.name(), show_duration(watched));
        match verdict.verdict {
            Word::RolledBack => {
                tracing::error!(service = %name, color = %to, why = verdict.why, "ROLLED BACK by the watch");
            }
            Word::Failed => tracing::error!(service = %name, color = %to, why = verdict.why, "the watch has failed"),
            _ => tracing::info!(service = %name, color = %to, why = verdict.why, after = for_, "watch ended"),
        }
        self.note_verdict(service, request, from, &verdict);
        Watched { verdict, rolled_back }
    }

    /// Back at once, without a gate: the old colour has been probed all the time.
    async fn flip_back(
        &self,
        service: &Arc<Service>,
        from: Color,
        to: Color,
        course: Entry,
        events: &Events,
    ) -> Result<u64, String> {
        let pool = service.pool(from);
        if !pool.has_healthy() {
            return Err(format!("no backend of {from} is healthy"));
        }
        let flip = |now: &Active| {
            // Asked where it is decided: someone may have moved the traffic since the verdict.
            self.still_on(service, course)?;
            plan::flip(service.name(), now, to, from, SystemTime::now())
        };
        let (after, took) =
            self.move_traffic(service, Some(course), flip).await.map_err(|refused| refused.to_string())?;
        let generation = after.generation;
        self.ledger(service, |ledger| ledger.took_back(generation));
        let _ = events.send(Event::Flipped { from: to, to: from, generation, took_us: micros(took) });
        Ok(generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_error_rate: 0.05,
        max_latency_ratio: 2.0,
        min_requests: 20,
        baseline_p95: Some(Duration::from_millis(10)),
    };

    fn word(requests: u64, failed: u64, p95_ms: u64, is_over: bool) -> Option<Word> {
        let seen = Seen { requests, failed, p95: Some(Duration::from_millis(p95_ms)), in_flight: 0, is_healthy: true };
        judge(&seen, &BOUNDS, is_over).map(|(word, _)| word)
    }

    #[test]
    fn too_many_failures_are_told_at_once_and_no_sooner_than_there_are_enough() {
        assert_eq!(word(19, 19, 1, false), None);
        assert_eq!(word(20, 2, 1, false), Some(Word::RolledBack));
        assert_eq!(word(20, 1, 1, false), None, "the bound itself is kept");
        assert_eq!(word(1000, 51, 1, false), Some(Word::RolledBack));
    }

    #[test]
    fn few_requests_are_no_verdict() {
        assert_eq!(word(0, 0, 1, true), Some(Word::Inconclusive));
        assert_eq!(word(19, 19, 100, true), Some(Word::Inconclusive));
        assert_eq!(word(20, 1, 1, true), Some(Word::Passed));
        let hangs = Seen { requests: 3, failed: 0, p95: None, in_flight: 25, is_healthy: true };
        assert!(judge(&hangs, &BOUNDS, true).unwrap().1.ends_with("; 25 in flight have not ended"));
    }

    #[test]
    fn latency_is_judged_only_where_it_is_asked_for_and_known() {
        assert_eq!(word(20, 0, 21, false), Some(Word::RolledBack));
        assert_eq!(word(20, 0, 20, false), None);
        let seen = Seen { requests: 20, failed: 0, p95: Some(Duration::from_secs(9)), in_flight: 0, is_healthy: true };
        let unasked = Bounds { max_latency_ratio: 0.0, ..BOUNDS };
        let unknown = Bounds { baseline_p95: None, ..BOUNDS };
        for bounds in [unasked, unknown] {
            assert_eq!(judge(&seen, &bounds, true).unwrap().0, Word::Passed);
        }
    }

    #[test]
    fn a_dead_pool_needs_no_requests_to_be_told() {
        assert_eq!(judge(&Seen::default(), &BOUNDS, false).unwrap().0, Word::RolledBack);
    }
}
