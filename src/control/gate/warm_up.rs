//! Warm-up, between gate and flip: the target pool is asked for its warm-up paths on the connections that traffic will use.
//!
//! Idle connections belong to a worker, so the workers make the requests. This file decides which worker asks for which path,
//! and when to give up. Paths are dealt out to the workers in turn; a worker without a path opens a connection all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::probing::{GatePassed, RETRY_AFTER, ReadyBackend};
use crate::config;
use crate::control::messages::{GateRefused, OperationEvent, UnreadyBackend, millis};
use crate::service::Service;
use crate::types::Color;
use crate::worker::{Orders, WarmUp};

/// One worker and one backend: the paths to ask for, how many of them are done, and why the last try failed.
struct Lane<'a> {
    worker: usize,
    ready: &'a ReadyBackend,
    /// `None`: only open a connection.
    todo: Vec<Option<&'a str>>,
    done: usize,
    why: String,
}

/// Asks every backend that has passed the gate for every warm-up path, once if it answers. Refused when gate and warm-up
/// together have taken `timeout`.
pub async fn warm_up(
    workers: &Orders,
    service: &Service,
    color: Color,
    passed: &GatePassed,
    timeout: Duration,
    events: &mpsc::UnboundedSender<OperationEvent>,
) -> Result<(), GateRefused> {
    let config = service.config();
    let paths = &config.switch.warmup;
    if paths.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    let mut lanes = lanes(workers.workers(), paths, &passed.backends);
    let all = join_all(lanes.iter_mut().map(|lane| lane.run(workers, &config)));
    if tokio::time::timeout(timeout.saturating_sub(passed.took), all).await.is_err() {
        return Err(refused(&config, color, &passed.backends, &lanes, timeout));
    }
    let requests = paths.len() * passed.backends.len();
    let _ = events.send(OperationEvent::WarmedUp { requests, took_ms: millis(started.elapsed()) });
    Ok(())
}

fn lanes<'a>(workers: usize, paths: &'a [String], backends: &'a [ReadyBackend]) -> Vec<Lane<'a>> {
    let lane = |worker: usize, ready| {
        let own = paths.iter().skip(worker).step_by(workers).map(|path| Some(path.as_str()));
        let todo: Vec<_> = if worker < paths.len() { own.collect() } else { vec![None] };
        Lane { worker, ready, todo, done: 0, why: "no answer yet".to_owned() }
    };
    (0..workers).flat_map(|worker| backends.iter().map(move |ready| lane(worker, ready))).collect()
}

impl Lane<'_> {
    /// One path after another on one connection; each is tried until it is answered.
    async fn run(&mut self, workers: &Orders, service: &Arc<config::ServiceConfig>) {
        while let Some(path) = self.todo.get(self.done) {
            let order =
                WarmUp { backend: self.ready.backend.clone(), service: service.clone(), path: path.map(str::to_owned) };
            match workers.warm_up(self.worker, order).await {
                Ok(()) => {
                    self.done += 1;
                    "no answer yet".clone_into(&mut self.why);
                }
                Err(why) => {
                    self.why = why;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn why(&self) -> Option<String> {
        let path = self.todo.get(self.done)?;
        Some(match path {
            Some(path) => format!("warm-up of {path}: {}", self.why),
            None => format!("warm-up: {}", self.why),
        })
    }
}

fn refused(
    service: &config::ServiceConfig,
    color: Color,
    backends: &[ReadyBackend],
    lanes: &[Lane<'_>],
    waited: Duration,
) -> GateRefused {
    let mut unready: Vec<UnreadyBackend> = Vec::new();
    for lane in lanes {
        let Some(why) = lane.why() else { continue };
        let one = UnreadyBackend { backend: lane.ready.label.clone(), why };
        if !unready.contains(&one) {
            unready.push(one);
        }
    }
    let cold = |ready: &&ReadyBackend| unready.iter().any(|one| one.backend == ready.label);
    GateRefused {
        service: service.name.to_string(),
        color,
        ready: backends.len() - backends.iter().filter(cold).count(),
        needed: backends.len(),
        of: backends.len(),
        waited,
        unready,
        forceable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{Backend, Endpoint};

    #[test]
    fn paths_are_dealt_out_in_turn_and_no_worker_is_left_cold() {
        let backend = Backend::new("127.0.0.1:1".parse().unwrap(), Endpoint::Tcp("127.0.0.1:1".parse().unwrap()));
        let ready = [ReadyBackend { backend: Arc::new(backend), label: "one".to_owned() }];
        let paths = ["/a", "/b", "/c"].map(str::to_owned);
        let dealt = |workers, paths| -> Vec<Vec<Option<&str>>> {
            lanes(workers, paths, &ready).into_iter().map(|lane| lane.todo).collect()
        };
        assert_eq!(dealt(2, &paths), [vec![Some("/a"), Some("/c")], vec![Some("/b")]]);
        assert_eq!(dealt(2, &paths[..1]), [vec![Some("/a")], vec![None]]);
    }
}
