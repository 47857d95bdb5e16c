//! After a change: the new colour's answers are watched, and what does not keep its bounds loses the traffic again.
//!
//! What they are is judged by [`judge`]. The watch is a course of the ledger: it ends, without a verdict, as soon as anyone else
//! moves the traffic.

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
use super::verdict::{Baseline, Bounds, Seen, judge};
use crate::metrics::Totals;
use crate::service::{Active, Pool, Service};
use crate::types::{Color, show_duration};
use crate::worker::CensusQuery;

/// How often the numbers are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What the old colour's p95 is taken over.
const BASELINE: Duration = Duration::from_mins(5);

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
    /// How a colour did in the last minutes.
    pub(super) fn baseline(&self, service: &Service, color: Color) -> Baseline {
        let recents = self.shared.metrics.recents();
        let totals = recents.over(service.name(), Some(color), BASELINE, Instant::now());
        let quantile = |of| totals.as_ref().and_then(|totals| totals.quantile(of));
        Baseline { p95: quantile(0.95), slowest: quantile(1.0) }
    }

    /// Watches `to` for as long as was asked for; `None` where that is not at all.
    pub(super) fn start_watch(
        self: &Rc<Self>,
        service: &Arc<Service>,
        done: &Done,
        baseline: Baseline,
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
            let bounds = Bounds::new(&service.config().switch, baseline, length);
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
                let unanswered = self.unanswered(service.pool(color), started, bounds.patience, &asked).await;
                let seen = Seen {
                    requests: now.requests + asked.requests.get(),
                    failed: now.failed + asked.failed.get(),
                    p95: now.quantile(0.95),
                    in_flight: service.pool(color).requests(),
                    unanswered,
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
        let asking = pin!(self.keep_asking(service, color, &asked, length, bounds.patience));
        // Asking has no end of its own.
        let (seen, (verdict, why)) = match select(pin!(judged), asking).await {
            Either::Left((judged, _)) => judged,
            Either::Right((never, _)) => match never {},
        };
        Verdict {
            color,
            generation,
            verdict,
            requests: seen.all(),
            failed: seen.all_failed(),
            unanswered: seen.unanswered,
            max_error_rate: bounds.max_error_rate,
            min_requests: bounds.min_requests,
            p95_ms: seen.p95.map(|p95| p95.as_secs_f64() * 1e3),
            baseline_p95_ms: bounds.baseline_p95.map(|p95| p95.as_secs_f64() * 1e3),
            watched_ms: millis(started.elapsed()),
            why,
        }
    }

    /// How many have been asked since `started` and not been answered for longer than `patience`.
    async fn unanswered(&self, pool: &Arc<Pool>, started: Instant, patience: Duration, asked: &Asked) -> u64 {
        let Some(late) = Instant::now().checked_sub(patience).filter(|late| *late > started) else { return 0 };
        let question = CensusQuery { pools: Arc::new([pool.clone()]), waiting_since: started..late };
        let waiting: usize = (self.cores.census)(question).await.iter().map(|census| census.waiting).sum();
        waiting as u64 + asked.since_before(late)
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
