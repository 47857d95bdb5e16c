//! Requests of our own during a watch, for a site that few visit: the warm-up paths, in turn, on every backend in turn.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::interval_at;

use super::operator::Operator;
use crate::config;
use crate::health;
use crate::service::Service;
use crate::types::Color;

/// The least time between two of them.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// What has come of them so far.
#[derive(Default)]
pub(super) struct Asked {
    pub requests: Cell<u64>,
    pub failed: Cell<u64>,
    /// When those were asked that are not answered yet.
    waiting: RefCell<Vec<Instant>>,
}

impl Asked {
    /// How many wait that were asked before then.
    pub fn since_before(&self, then: Instant) -> u64 {
        self.waiting.borrow().iter().filter(|at| **at < then).count() as u64
    }

    /// Notes a question; to be told when it is answered.
    fn asks(&self, now: Instant) -> Instant {
        self.waiting.borrow_mut().push(now);
        now
    }

    fn answered(&self, at: Instant, is_ok: bool) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(place) = waiting.iter().position(|waits| *waits == at) {
            waiting.swap_remove(place);
        }
        self.requests.set(self.requests.get() + 1);
        self.failed.set(self.failed.get() + u64::from(!is_ok));
    }
}

impl Operator {
    /// Goes on until it is dropped; does nothing where there are no warm-up paths.
    ///
    /// An answer that is slow, or does not come, keeps no other from being asked for.
    pub(super) async fn keep_asking(
        &self,
        service: &Arc<Service>,
        color: Color,
        asked: &Asked,
        length: Duration,
        patience: Duration,
    ) -> Infallible {
        let config = service.config();
        let paths = &config.switch.warmup;
        if paths.is_empty() {
            return std::future::pending().await;
        }
        let (pause, most) = pace(&config, length, patience);
        let mut times = interval_at(tokio::time::Instant::now() + pause, pause);
        let mut turns = 0_usize..;
        let mut answers = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = times.tick(), if answers.len() < most => {
                    let turn = turns.next().unwrap_or_default();
                    let backends = service.pool(color).backends().clone();
                    let Some(backend) = backends.get((turn / paths.len()) % backends.len().max(1)).cloned() else { continue };
                    let (config, path) = (&config, &paths[turn % paths.len()]);
                    let at = asked.asks(Instant::now());
                    answers.push(async move { (at, health::ask(&self.upstreams, &backend, config, path).await) });
                }
                Some((at, answer)) = answers.next() => asked.answered(at, answer.is_ok()),
            }
        }
    }
}

/// The time between two, and how many may wait for their answer: enough of them for a verdict by the end, though each takes
/// all the time that an answer may take, or has as good as failed; where the watch is not that long, enough if they are quick.
fn pace(config: &config::Service, length: Duration, patience: Duration) -> (Duration, usize) {
    let enough = config.switch.min_requests.saturating_mul(5) / 4 + 2;
    let enough = u32::try_from(enough).unwrap_or(u32::MAX);
    let answered = length.saturating_sub(config.response_timeout.min(patience));
    let span = if answered.is_zero() { length } else { answered };
    ((span / enough).max(LEAST_PAUSE), enough as usize)
}
