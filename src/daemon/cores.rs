//! The serving threads: one current-thread runtime each, told what to do over a channel.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use crate::access::{AccessLog, WorkerLog};
use crate::control::{WarmUpOrder, WarmUpOrders};
use crate::health::WarmUp;
use crate::http::{AskCores, Census, Question, Shared, Worker};
use crate::listen::{Admissions, Core, CoreOrder, Listener, run_core};
use crate::tls::Tls;

/// Tasks run before sockets are looked at again; under load they come in bursts of about this many.
const EVENT_INTERVAL: u32 = 128;

/// How long who asks for the status waits for a busy core.
const CENSUS_TIMEOUT: Duration = Duration::from_millis(500);

/// All cores.
pub(super) struct Cores {
    orders: Vec<mpsc::UnboundedSender<CoreOrder>>,
    threads: Vec<JoinHandle<()>>,
}

impl Cores {
    pub fn start(
        count: usize,
        shared: &Arc<Shared>,
        tls: &Arc<Tls>,
        admissions: &Arc<Admissions>,
        access: &AccessLog,
    ) -> io::Result<Self> {
        let mut cores = Self { orders: Vec::new(), threads: Vec::new() };
        for id in 0..count {
            let (orders, incoming) = mpsc::unbounded_channel();
            let (shared, tls, admissions, log) = (shared.clone(), tls.clone(), admissions.clone(), access.worker());
            let body = move || run(id, shared, tls, admissions, log, incoming);
            // Ends after `Stop` with its last connection, or when `orders` is dropped.
            cores.threads.push(thread::Builder::new().name(format!("core-{id}")).spawn(body)?);
            cores.orders.push(orders);
        }
        Ok(cores)
    }

    pub fn listen(&self, listener: &Arc<Listener>) {
        self.tell(|| CoreOrder::Listen(listener.clone()));
    }

    /// Returns once every core has closed its handle on the socket.
    pub async fn unlisten(&self, id: usize) {
        let mut closed = Vec::new();
        self.tell(|| {
            let (done, wait) = oneshot::channel();
            closed.push(wait);
            CoreOrder::Unlisten(id, done)
        });
        for wait in closed {
            let _ = wait.await;
        }
    }

    pub fn tell(&self, mut order: impl FnMut() -> CoreOrder) {
        for core in &self.orders {
            let _ = core.send(order());
        }
    }

    /// A sender to all cores that outlives a borrow of this.
    pub fn teller(&self) -> impl Fn(&[u64]) + 'static {
        let orders = self.orders.clone();
        move |backends| {
            let backends: Arc<[u64]> = backends.into();
            for core in &orders {
                let _ = core.send(CoreOrder::Forget(backends.clone()));
            }
        }
    }

    /// What sends one core on an errand, and outlives a borrow of this.
    pub fn errands(&self) -> WarmUpOrders {
        let orders = self.orders.clone();
        let send = move |core: usize, errand: WarmUp| -> WarmUpOrder {
            let (answer, answered) = oneshot::channel();
            if let Some(core) = orders.get(core) {
                let _ = core.send(CoreOrder::WarmUp(errand, answer));
            }
            Box::pin(async { answered.await.unwrap_or_else(|_| Err("the daemon is shutting down".to_owned())) })
        };
        WarmUpOrders { cores: self.orders.len(), send: Box::new(send) }
    }

    /// Asks all cores what is inside of pools, and adds it up; outlives a borrow of this.
    pub fn census(&self) -> AskCores {
        let orders = self.orders.clone();
        Arc::new(move |question| Box::pin(take_census(orders.clone(), question)))
    }

    /// Stops accepting, lets what runs finish until `limit`, cuts the rest. Answers whether nothing had to be cut.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.tell(|| CoreOrder::Stop);
        if self.finished_within(limit).await {
            return true;
        }
        self.tell(|| CoreOrder::Abort);
        self.finished_within(Duration::from_secs(2)).await;
        false
    }

    async fn finished_within(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !self.threads.iter().all(JoinHandle::is_finished) {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        true
    }
}

/// A core that is gone, or has no time, is left out.
async fn take_census(orders: Vec<mpsc::UnboundedSender<CoreOrder>>, question: Question) -> Vec<Census> {
    let asked = orders.iter().map(|core| {
        let (answer, answered) = oneshot::channel();
        let _ = core.send(CoreOrder::Census(question.clone(), answer));
        tokio::time::timeout(CENSUS_TIMEOUT, answered)
    });
    let mut all = vec![Census::default(); question.pools.len()];
    for of_core in futures_util::future::join_all(asked).await.into_iter().flatten().flatten() {
        all.iter_mut().zip(&of_core).for_each(|(census, share)| census.add(share));
    }
    all
}

fn run(
    id: usize,
    shared: Arc<Shared>,
    tls: Arc<Tls>,
    admissions: Arc<Admissions>,
    log: WorkerLog,
    orders: mpsc::UnboundedReceiver<CoreOrder>,
) {
    let runtime =
        Builder::new_current_thread().event_interval(EVENT_INTERVAL).enable_all().build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(id, %error, "a core could not start"),
    };
    let worker = Worker::new(id, shared, log);
    let core = Rc::new(Core { worker, tls, admissions });
    runtime.block_on(run_core(core, orders));
}
