//! Requests at a constant rate, and how long each took from the moment when it was due: free of coordinated omission.
//!
//! Neither tool of `tools/` can do this. wrk has no rate. h2load's `--rps` counts from when it sends, so a request which had to wait for
//! a stream looks fast; and it paces each connection on its own. Here a thread keeps the schedule and nothing else, and lanes take what
//! is due, as many at a time as there are lanes; a request that finds them all busy waits, and its wait counts. The schedule's own
//! lateness is part of each figure, the same for every proxy, and is given beside them.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::Lane;
use super::request::Request;
use super::spread::Spread;

/// What one run has seen.
pub struct Seen {
    /// From the moment when a request was due to the answer's last byte.
    pub latency: Spread,
    /// From the moment when a request was due to when the schedule said so.
    pub late: Spread,
}

/// Asks `rate` times a second, `count` times.
pub async fn steady(lanes: Vec<Lane>, request: &Arc<Request>, rate: f64, count: usize) -> Result<Seen> {
    let (due, taken) = mpsc::unbounded_channel();
    let taken = Arc::new(Mutex::new(taken));
    let schedule = thread::spawn(move || keep(rate, count, |at| due.send(at).is_ok()));
    let mut tasks = JoinSet::new();
    for mut lane in lanes {
        let (taken, request) = (Arc::clone(&taken), Arc::clone(request));
        // Ends when the schedule has, or with the first answer that is wrong.
        tasks.spawn(async move {
            let mut latency = Spread::default();
            loop {
                let Some(at): Option<Instant> = taken.lock().await.recv().await else {
                    return anyhow::Ok(latency);
                };
                lane.get(&request).await?;
                latency.add(at.elapsed());
            }
        });
    }
    let mut latency = Spread::default();
    while let Some(done) = tasks.join_next().await {
        latency.merge(&done.context("a lane panicked")??);
    }
    let late = schedule.join().map_err(|_| anyhow::anyhow!("the schedule panicked"))?;
    ensure!(latency.len() == count, "{} of {count} answered", latency.len());
    Ok(Seen { latency, late })
}

/// Says when each request is due, until all are or nothing listens. Returns how late it said so.
pub fn keep(rate: f64, count: usize, mut say: impl FnMut(Instant) -> bool) -> Spread {
    // A nanosecond instead of 50 µs: how much later than asked the kernel may wake this thread. Without it figures are worse, not wrong.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1)).ok();
    let mut late = Spread::default();
    let start = Instant::now();
    for number in 0..count {
        let due = start + Duration::from_secs_f64(number as f64 / rate);
        let now = Instant::now();
        if now < due {
            thread::sleep(due - now);
        }
        late.add(due.elapsed());
        if !say(due) {
            break;
        }
    }
    late
}
