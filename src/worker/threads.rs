//! The serving threads: one current-thread runtime each, started together and stopped together.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

use super::order::{Orders, WorkerOrder};
use super::run::{Doorway, Entrance, run};
use super::shared::SharedState;
use super::state::Worker;
use crate::access::{AccessLog, WorkerLog};
use crate::listen::Admissions;

/// How many tasks run before sockets are polled again; under load tasks come in bursts of about this many.
const EVENT_INTERVAL: u32 = 128;

/// How long aborted connections have to end.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// How often a stop checks whether the threads have ended.
const LOOK: Duration = Duration::from_millis(5);

/// All workers.
pub struct Workers {
    orders: Orders,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    pub fn start(
        count: usize,
        shared: &Arc<SharedState>,
        entrance: &Arc<dyn Entrance>,
        admissions: &Arc<Admissions>,
        access: &AccessLog,
    ) -> io::Result<Self> {
        let mut workers = Self { orders: Orders::default(), threads: Vec::new() };
        for id in 0..count {
            let incoming = workers.orders.add_worker();
            let (shared, entrance, admissions, log) =
                (shared.clone(), entrance.clone(), admissions.clone(), access.worker());
            let body = move || run_thread(id, shared, entrance, admissions, log, incoming);
            // Ends after `Stop` with its last connection, or when every sender of its orders is dropped.
            workers.threads.push(thread::Builder::new().name(format!("worker-{id}")).spawn(body)?);
        }
        Ok(workers)
    }

    pub fn orders(&self) -> &Orders {
        &self.orders
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

fn run_thread(
    id: usize,
    shared: Arc<SharedState>,
    entrance: Arc<dyn Entrance>,
    admissions: Arc<Admissions>,
    log: WorkerLog,
    orders: mpsc::UnboundedReceiver<WorkerOrder>,
) {
    let runtime =
        Builder::new_current_thread().event_interval(EVENT_INTERVAL).enable_all().build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(id, %error, "a worker could not start"),
    };
    let worker = Worker::new(id, shared, log);
    runtime.block_on(run(Rc::new(Doorway { worker, entrance, admissions }), orders));
}
