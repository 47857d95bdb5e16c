//! What workers are ordered to do, and the handle by which the control runtime orders it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::live::{Census, CensusQuery};
use super::warm_up::WarmUp;
use crate::listen::Listener;

/// How long a request for the status waits for a busy worker.
const CENSUS_TIMEOUT: Duration = Duration::from_millis(500);

/// What a worker is ordered to do.
#[derive(Debug)]
pub(super) enum WorkerOrder {
    Listen(Arc<Listener>),
    /// Accepts what is queued, closes the socket, lets its connections finish; answers when the socket is closed.
    Unlisten(usize, oneshot::Sender<()>),
    /// These backends' idle connections can go.
    Forget(Arc<[u64]>),
    /// A connection to a backend, and perhaps a request on it, before traffic comes; answers with what was got instead.
    /// Ends when the answer's receiver is gone.
    WarmUp(WarmUp, oneshot::Sender<Result<(), String>>),
    /// Answers what is inside each of these pools.
    Census(CensusQuery, oneshot::Sender<Vec<Census>>),
    /// Stops accepting; ends once the last connection has finished.
    Stop,
    /// The shutdown's deadline: cuts what still runs.
    Abort,
}

/// Orders to all workers. A clone stays valid for as long as they run; afterwards, orders go nowhere.
#[derive(Debug, Clone, Default)]
pub struct Orders(Vec<mpsc::UnboundedSender<WorkerOrder>>);

impl Orders {
    pub(super) fn add_worker(&mut self) -> mpsc::UnboundedReceiver<WorkerOrder> {
        let (orders, incoming) = mpsc::unbounded_channel();
        self.0.push(orders);
        incoming
    }

    /// How many workers there are; they are numbered from 0.
    pub fn workers(&self) -> usize {
        self.0.len()
    }

    pub fn listen(&self, listener: &Arc<Listener>) {
        self.tell_all(|| WorkerOrder::Listen(listener.clone()));
    }

    /// Returns once every worker has closed its handle on the socket.
    pub async fn unlisten(&self, id: usize) {
        let mut closed = Vec::new();
        self.tell_all(|| {
            let (done, wait) = oneshot::channel();
            closed.push(wait);
            WorkerOrder::Unlisten(id, done)
        });
        for wait in closed {
            let _ = wait.await;
        }
    }

    /// Closes the idle connections to these backends.
    pub fn forget(&self, backends: &[u64]) {
        let backends: Arc<[u64]> = backends.into();
        self.tell_all(|| WorkerOrder::Forget(backends.clone()));
    }

    /// Has one worker warm up its way to a backend; the error is what was got instead. Dropping the future ends the attempt.
    pub fn warm_up(&self, worker: usize, warm_up: WarmUp) -> impl Future<Output = Result<(), String>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        if let Some(worker) = self.0.get(worker) {
            let _ = worker.send(WorkerOrder::WarmUp(warm_up, answer));
        }
        async { answered.await.unwrap_or_else(|_| Err("the daemon is shutting down".to_owned())) }
    }

    /// What is inside of each pool, over all workers. A worker that is gone, or has no time, is left out.
    pub async fn census(&self, query: CensusQuery) -> Vec<Census> {
        let asked = self.0.iter().map(|worker| {
            let (answer, answered) = oneshot::channel();
            let _ = worker.send(WorkerOrder::Census(query.clone(), answer));
            tokio::time::timeout(CENSUS_TIMEOUT, answered)
        });
        let asked: Vec<_> = asked.collect();
        let mut all = vec![Census::default(); query.pools.len()];
        for of_worker in futures_util::future::join_all(asked).await.into_iter().flatten().flatten() {
            all.iter_mut().zip(&of_worker).for_each(|(census, share)| census.add(share));
        }
        all
    }

    pub(super) fn stop(&self) {
        self.tell_all(|| WorkerOrder::Stop);
    }

    pub(super) fn abort(&self) {
        self.tell_all(|| WorkerOrder::Abort);
    }

    fn tell_all(&self, mut order: impl FnMut() -> WorkerOrder) {
        for worker in &self.0 {
            let _ = worker.send(order());
        }
    }
}
