//! Requests of our own during a watch, for a site with few visitors: the warm-up paths in turn, on every backend in turn.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::interval_at;

use crate::health;
use crate::service::Service;
use crate::types::Color;
use crate::upstream::Upstreams;

/// The least time between two of them.
const LEAST_INTERVAL: Duration = Duration::from_millis(50);

/// What has come of them so far.
#[derive(Default)]
pub struct OwnRequests {
    answered: Cell<u64>,
    failed: Cell<u64>,
    /// When each request was sent that has no answer yet.
    waiting: RefCell<Vec<Instant>>,
}

impl OwnRequests {
    /// Failed ones included.
    pub fn answered(&self) -> u64 {
        self.answered.get()
    }

    pub fn failed(&self) -> u64 {
        self.failed.get()
    }

    /// How many are waiting that were sent before `then`.
    pub fn waiting_since_before(&self, then: Instant) -> u64 {
        self.waiting.borrow().iter().filter(|at| **at < then).count() as u64
    }

    /// Asks until it is dropped; does nothing if there are no warm-up paths.
    ///
    /// A slow or missing answer delays no other request.
    pub async fn keep_asking(
        &self,
        upstreams: &Rc<Upstreams>,
        service: &Arc<Service>,
        color: Color,
        length: Duration,
        patience: Duration,
    ) -> Infallible {
        let config = service.config();
        let paths = &config.switch.warmup;
        if paths.is_empty() {
            return std::future::pending().await;
        }
        let longest = config.response_timeout.min(patience);
        let (interval, most) = pace(config.switch.min_requests, length, longest);
        let mut times = interval_at(tokio::time::Instant::now() + interval, interval);
        let mut turns = 0_usize..;
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = times.tick(), if answers.len() < most => {
                    let turn = turns.next().unwrap_or_default();
                    let backends = service.pool(color).backends().clone();
                    let Some(backend) = backends.get((turn / paths.len()) % backends.len().max(1)).cloned() else { continue };
                    let (config, path) = (&config, &paths[turn % paths.len()]);
                    let at = self.note_sent(Instant::now());
                    answers.push(async move { (at, health::ask(upstreams, &backend, config, path).await) });
                }
                Some((at, answer)) = answers.next() => self.note_answer(at, answer.is_ok()),
            }
        }
    }

    /// Returns the time, by which the answer is noted.
    fn note_sent(&self, now: Instant) -> Instant {
        self.waiting.borrow_mut().push(now);
        now
    }

    fn note_answer(&self, sent: Instant, is_ok: bool) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(place) = waiting.iter().position(|at| *at == sent) {
            waiting.swap_remove(place);
        }
        self.answered.set(self.answered.get() + 1);
        self.failed.set(self.failed.get() + u64::from(!is_ok));
    }
}

/// The time between two requests, and how many of them may wait for an answer.
///
/// By the end of a watch of this `length` there are enough for a verdict, even if each takes the `longest` time that an answer
/// may take before it counts as failed. If the watch is too short for that, there are enough if answers are quick.
fn pace(min_requests: u64, length: Duration, longest: Duration) -> (Duration, usize) {
    let enough = min_requests.saturating_mul(5) / 4 + 2;
    let enough = u32::try_from(enough).unwrap_or(u32::MAX);
    let answered = length.saturating_sub(longest);
    let span = if answered.is_zero() { length } else { answered };
    ((span / enough).max(LEAST_INTERVAL), enough as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_requests_for_a_verdict_by_the_end() {
        let pace = |length, longest| pace(20, Duration::from_secs(length), Duration::from_secs(longest));
        assert_eq!(pace(57, 30), (Duration::from_secs(1), 27), "the last answer comes before the end");
        assert_eq!(pace(27, 60), (Duration::from_secs(1), 27), "a short watch needs quick answers");
        assert_eq!(pace(1, 0), (LEAST_INTERVAL, 27), "but never a flood");
    }

    #[test]
    fn what_waits_is_counted_by_when_it_was_sent() {
        let (own, start) = (OwnRequests::default(), Instant::now());
        let sent = [0, 1, 2].map(|seconds| own.note_sent(start + Duration::from_secs(seconds)));
        assert_eq!(own.waiting_since_before(sent[2]), 2);
        own.note_answer(sent[0], true);
        own.note_answer(sent[1], false);
        assert_eq!((own.answered(), own.failed(), own.waiting_since_before(sent[2])), (2, 1, 0));
        assert_eq!(own.waiting_since_before(start + Duration::from_secs(9)), 1, "the third one");
    }
}
