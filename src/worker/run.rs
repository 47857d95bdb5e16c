//! One worker's run loop: orders, and the sweep; and the hand-over of what its listeners accept.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::order::WorkerOrder;
use super::state::{SWEEP, Worker};
use super::warm_up::WarmUp;
use crate::listen::{Accepted, Accepting, Admissions, Admitted, Listener};
use crate::upstream::Upstreams;

/// How often what is idle is looked through even when no connection is open.
const IDLE_SWEEP: Duration = Duration::from_secs(1);

/// Serves what was accepted. Called on a worker's thread; must not block.
pub trait Entrance: Send + Sync {
    fn serve(&self, worker: &Rc<Worker>, arrival: Arrival);
}

/// An accepted and admitted connection.
pub struct Arrival {
    pub socket: Accepted,
    /// The other end of the socket, IPv4 as such.
    pub peer: SocketAddr,
    pub listener: Arc<Listener>,
    /// To be dropped when the connection is over.
    pub admitted: Admitted,
}

/// What one worker's listeners do with what they accept.
pub(super) struct Doorway {
    pub worker: Rc<Worker>,
    pub entrance: Arc<dyn Entrance>,
    pub admissions: Arc<Admissions>,
}

/// Runs until it has the order to stop and the last connection has finished, or until the sender of its orders is gone.
pub(super) async fn run(doorway: Rc<Doorway>, mut orders: mpsc::UnboundedReceiver<WorkerOrder>) {
    let worker = doorway.worker.clone();
    let mut accepting: HashMap<usize, Accepting> = HashMap::new();
    // The sweep has a timer of its own. If each order began it anew, frequent orders would keep it from ever firing.
    let mut next_sweep = std::pin::pin!(tokio::time::sleep(SWEEP));
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => obey(order, &doorway, &mut accepting).await,
                None => break,
            },
            () = &mut next_sweep => {
                worker.sweep(Instant::now());
                next_sweep.as_mut().reset(tokio::time::Instant::now() + IDLE_SWEEP);
            }
        }
        let soon = tokio::time::Instant::now() + SWEEP;
        if !worker.is_idle() && next_sweep.deadline() > soon {
            next_sweep.as_mut().reset(soon);
        }
        if worker.is_stopping() && worker.is_idle() {
            break;
        }
    }
    worker.sweep(Instant::now());
}

async fn obey(order: WorkerOrder, doorway: &Rc<Doorway>, accepting: &mut HashMap<usize, Accepting>) {
    let worker = &doorway.worker;
    match order {
        WorkerOrder::Listen(listener) => match accept(doorway, &listener) {
            Ok(started) => {
                accepting.insert(listener.id, started);
            }
            Err(error) => tracing::error!(addr = %listener.addr, %error, "cannot accept"),
        },
        WorkerOrder::Unlisten(id, done) => {
            if let Some(stopped) = accepting.remove(&id) {
                stopped.stop().await;
            }
            worker.finish_listener(id);
            let _ = done.send(());
        }
        WorkerOrder::Forget(backends) => worker.upstreams.forget(&backends),
        WorkerOrder::WarmUp(warm_up, answer) => {
            // Ends with its answer, which is bounded in time.
            tokio::task::spawn_local(run_warm_up(worker.upstreams.clone(), warm_up, answer));
        }
        WorkerOrder::Census(query, answer) => {
            let _ = answer.send(worker.census(&query));
        }
        WorkerOrder::Stop => {
            for (_, stopped) in accepting.drain() {
                stopped.stop().await;
            }
            worker.stop();
        }
        WorkerOrder::Abort => worker.abort(),
    }
}

fn accept(doorway: &Rc<Doorway>, listener: &Arc<Listener>) -> std::io::Result<Accepting> {
    let open = doorway.admissions.count_of(&listener.addr.to_string());
    let (doorway, from) = (doorway.clone(), listener.clone());
    let descriptors = doorway.worker.shared.descriptors.clone();
    Accepting::start(listener, descriptors.clone(), move |socket| {
        let peer = socket.peer();
        let config = doorway.worker.snapshot().config.clone();
        let admitted = doorway.admissions.admit(&open, &config.limits, descriptors.for_client());
        // A load balancer's connections are those of the clients that it names.
        let is_balancer = config.server.proxy_protocol.iter().any(|net| net.contains(&peer.ip()));
        let counted = |mut admitted: Admitted| {
            if !is_balancer {
                admitted.count_for(peer.ip(), &config.limits)?;
            }
            Ok(admitted)
        };
        match admitted.and_then(counted) {
            Ok(admitted) => {
                let arrival = Arrival { socket, peer, listener: from.clone(), admitted };
                // A panic is logged where it happens. It costs this connection, and not the task that accepts.
                let _ = catch_unwind(AssertUnwindSafe(|| doorway.entrance.serve(&doorway.worker, arrival)));
            }
            Err(limit) => limit.say(peer.ip()),
        }
    })
}

async fn run_warm_up(upstreams: Rc<Upstreams>, warm_up: WarmUp, mut answer: oneshot::Sender<Result<(), String>>) {
    let result = tokio::select! {
        result = warm_up.run(&upstreams) => result,
        () = answer.closed() => return,
    };
    let _ = answer.send(result);
}
