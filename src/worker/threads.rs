//! The serving threads: one current-thread runtime each, started together and stopped together.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use super::order::{Orders, WorkerOrder};
use super::run::{Doorway, Entrance, run};
use super::shared::SharedState;
use super::state::Worker;
use crate::access::{AccessLog, WorkerLog};
use crate::listen::Admissions;
use crate::supervise::reason;

/// How many tasks run before sockets are polled again; under load tasks come in bursts of about this many.
const EVENT_INTERVAL: u32 = 128;

/// Threads of one worker that write and read spool files: a disk that is slow gets no faster by more of them.
const FILE_THREADS: usize = 4;

/// How long aborted connections have to end.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// How often a stop checks whether the threads have ended.
const LOOK: Duration = Duration::from_millis(5);

/// All workers.
pub struct Workers {
    orders: Orders,
    threads: Vec<JoinHandle<()>>,
    /// Why the first of them has ended that was not told to.
    lost: watch::Receiver<Option<String>>,
}

impl Workers {
    pub fn start(
        count: usize,
        shared: &Arc<SharedState>,
        entrance: &Arc<dyn Entrance>,
        admissions: &Arc<Admissions>,
        access: &AccessLog,
    ) -> io::Result<Self> {
        let (loses, lost) = watch::channel(None);
        let mut workers = Self { orders: Orders::default(), threads: Vec::new(), lost };
        for id in 0..count {
            let incoming = workers.orders.add_worker();
            let (shared, entrance, admissions, log) =
                (shared.clone(), entrance.clone(), admissions.clone(), access.worker());
            let loses = loses.clone();
            let body = move || tell_end(id, &loses, || run_thread(id, shared, entrance, admissions, log, incoming));
            // Ends after `Stop` with its last connection, or when every sender of its orders is dropped.
            workers.threads.push(thread::Builder::new().name(format!("worker-{id}")).spawn(body)?);
        }
        Ok(workers)
    }

    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// Pending while every worker serves; then, why one has ended. Its connections are lost, and nothing takes its place.
    pub async fn lost(&self) -> String {
        match self.lost.clone().wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(why) => why.unwrap_or_default(),
            // All have ended as they were told to.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops accepting, lets what runs finish until `limit`, cuts the rest. Answers whether nothing had to be cut.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.orders.stop();
        if self.finished_within(limit).await {
            return true;
        }
        self.orders.abort();
        self.finished_within(ABORT_TIME).await;
        false
    }

    async fn finished_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}

/// A worker that was not told to end must not be missing silently.
fn tell_end(id: usize, loses: &watch::Sender<Option<String>>, serve: impl FnOnce() -> Result<(), String>) {
    let ended = catch_unwind(AssertUnwindSafe(serve)).unwrap_or_else(|panic| Err(reason(&*panic)));
    if let Err(why) = ended {
        tracing::error!(id, why, "a worker has ended: the daemon stops");
        loses.send_replace(Some(format!("worker {id} has ended: {why}")));
    }
}

fn run_thread(
    id: usize,
    shared: Arc<SharedState>,
    entrance: Arc<dyn Entrance>,
    admissions: Arc<Admissions>,
    log: WorkerLog,
    orders: mpsc::UnboundedReceiver<WorkerOrder>,
) -> Result<(), String> {
    let mut builder = Builder::new_current_thread();
    builder.event_interval(EVENT_INTERVAL).max_blocking_threads(FILE_THREADS).enable_all();
    let runtime = builder.build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| format!("it could not start: {error}"))?;
    let worker = Worker::new(id, shared, log);
    runtime.block_on(run(Rc::new(Doorway { worker, entrance, admissions }), orders));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_is_missed() {
        for (serve, why) in [
            ((|| panic!("a bug")) as fn() -> Result<(), String>, "worker 1 has ended: panicked: a bug"),
            (|| Err("no runtime".to_owned()), "worker 1 has ended: no runtime"),
        ] {
            let (loses, lost) = watch::channel(None);
            let workers = Workers { orders: Orders::default(), threads: Vec::new(), lost };
            tell_end(0, &loses, || Ok(()));
            assert!(workers.lost.borrow().is_none(), "it was told to end");
            tell_end(1, &loses, serve);
            assert_eq!(workers.lost().await, why);
        }
    }
}
