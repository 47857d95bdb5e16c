//! One core's loop: accept, admit, learn who it is, serve.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::admission::{Admissions, Admitted};
use super::proxy_protocol;
use super::socket::{Bound, Listener};
use crate::decide::Peer;
use crate::health::WarmUp;
use crate::http::{Census, Conn, Question, SWEEP, Worker, serve};
use crate::tls::{HandshakeError, Tls};
use crate::upstream::Upstreams;

/// How often what is idle is looked through even when no connection is open.
const IDLE_SWEEP: Duration = Duration::from_secs(1);

/// What a core is told.
#[derive(Debug)]
pub enum CoreOrder {
    Listen(Arc<Listener>),
    /// Accepts what is queued, closes the socket, lets its connections finish; answers when the socket is closed.
    Unlisten(usize, oneshot::Sender<()>),
    /// These backends' idle connections can go.
    Forget(Arc<[u64]>),
    /// A connection to a backend, and perhaps a request on it, before traffic comes; answers with what was got instead.
    /// Nobody waiting for the answer any more ends it.
    WarmUp(WarmUp, oneshot::Sender<Result<(), String>>),
    /// Answers what is inside each of these pools.
    Census(Question, oneshot::Sender<Vec<Census>>),
    /// Stops accepting; ends once the last connection has finished.
    Stop,
    /// The shutdown's deadline: cuts what still runs.
    Abort,
}

/// What one core serves with.
pub struct Core {
    pub worker: Rc<Worker>,
    pub tls: Arc<Tls>,
    pub admissions: Arc<Admissions>,
}

/// Runs until told to stop and the last connection has finished, or the orders' sender is gone.
pub async fn run_core(core: Rc<Core>, mut orders: mpsc::UnboundedReceiver<CoreOrder>) {
    let mut accepting: HashMap<usize, Accepting> = HashMap::new();
    // Of its own, not begun anew with each order: who asks often would keep it from ever coming.
    let mut next_sweep = std::pin::pin!(tokio::time::sleep(SWEEP));
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(CoreOrder::Listen(listener)) => {
                    let id = listener.id;
                    match Accepting::start(&core, &listener) {
                        Ok(started) => { accepting.insert(id, started); }
                        Err(error) => tracing::error!(addr = %listener.addr, %error, "cannot accept"),
                    }
                }
                Some(CoreOrder::Unlisten(id, done)) => {
                    if let Some(stopped) = accepting.remove(&id) {
                        stopped.stop().await;
                    }
                    core.worker.finish_listener(id);
                    let _ = done.send(());
                }
                Some(CoreOrder::Forget(backends)) => core.worker.upstreams.forget(&backends),
                Some(CoreOrder::WarmUp(errand, answer)) => {
                    // Ends with its answer, which is bounded in time.
                    tokio::task::spawn_local(warm_up(core.worker.upstreams.clone(), errand, answer));
                }
                Some(CoreOrder::Census(question, answer)) => {
                    let _ = answer.send(core.worker.census(&question));
                }
                Some(CoreOrder::Stop) => {
                    for (_, stopped) in accepting.drain() {
                        stopped.stop().await;
                    }
                    core.worker.stop();
                }
                Some(CoreOrder::Abort) => core.worker.abort(),
                None => break,
            },
            () = &mut next_sweep => {
                core.worker.sweep(Instant::now());
                next_sweep.as_mut().reset(tokio::time::Instant::now() + IDLE_SWEEP);
            }
        }
        let soon = tokio::time::Instant::now() + SWEEP;
        if !core.worker.is_idle() && next_sweep.deadline() > soon {
            next_sweep.as_mut().reset(soon);
        }
        if core.worker.is_stopping() && core.worker.connections() == 0 {
            break;
        }
    }
    core.worker.sweep(Instant::now());
}

async fn warm_up(upstreams: Rc<Upstreams>, errand: WarmUp, mut answer: oneshot::Sender<Result<(), String>>) {
    let result = tokio::select! {
        result = errand.run(&upstreams) => result,
        () = answer.closed() => return,
    };
    let _ = answer.send(result);
}

/// One socket's accept loop on one core.
struct Accepting {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Accepting {
    fn start(core: &Rc<Core>, listener: &Arc<Listener>) -> io::Result<Self> {
        let socket = AsyncSocket::new(listener.share()?)?;
        let (stop, stopped) = oneshot::channel();
        let source = Rc::new(Source {
            core: core.clone(),
            listener: listener.clone(),
            open: core.admissions.count_of(&listener.addr.to_string()),
        });
        // Ends when `stop` is sent or dropped.
        let task = tokio::task::spawn_local(accept_until(source, socket, stopped));
        Ok(Self { task, stop })
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

struct Source {
    core: Rc<Core>,
    listener: Arc<Listener>,
    open: Arc<AtomicUsize>,
}

enum AsyncSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsyncSocket {
    fn new(bound: Bound) -> io::Result<Self> {
        match bound {
            Bound::Tcp(listener) => TcpListener::from_std(listener).map(Self::Tcp),
            Bound::Unix(listener) => UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    async fn accept(&self, source: &Rc<Source>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                source.take_tcp(stream, peer);
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                source.take_unix(stream);
            }
        }
        Ok(())
    }
}

impl AsyncSocket {
    /// What the kernel has queued has been told that it is connected: it is served too. Asks the kernel, not the runtime,
    /// which may not have heard of it yet; then closes.
    fn serve_queued(self, source: &Rc<Source>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, peer)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    source.take_tcp(TcpStream::from_std(stream)?, peer);
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    source.take_unix(UnixStream::from_std(stream)?);
                }
            }
        }
        Ok(())
    }
}

async fn accept_until(source: Rc<Source>, socket: AsyncSocket, mut stopped: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept(&source) => accepted,
            _ = &mut stopped => break,
        };
        if let Err(error) = accepted {
            // Out of descriptors, mostly: the queue holds them until one is free.
            tracing::warn!(addr = %source.listener.addr, %error, "accept failed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    if let Err(error) = socket.serve_queued(&source) {
        tracing::warn!(addr = %source.listener.addr, %error, "what was queued could not be served");
    }
}

impl Source {
    fn take_tcp(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "client gone before it was served");
            return;
        }
        let local = stream.local_addr().ok();
        self.spawn(stream, peer, local);
    }

    fn take_unix(self: &Rc<Self>, stream: UnixStream) {
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        self.spawn(stream, SocketAddr::new(local, 0), None);
    }

    fn spawn<T>(self: &Rc<Self>, stream: T, peer: SocketAddr, local: Option<SocketAddr>)
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let limits = &self.core.worker.snapshot().config.limits.clone();
        let ip = peer.ip().to_canonical();
        let Some(admitted) = self.core.admissions.admit(&self.open, ip, limits) else {
            tracing::debug!(%ip, "connection limit reached");
            return;
        };
        let source = self.clone();
        let local = local.map(|l| SocketAddr::new(l.ip().to_canonical(), l.port()));
        // Ends with the handshake, which is bounded in time; the connection goes on in a task of its own.
        tokio::task::spawn_local(async move { source.serve(stream, ip, local, admitted).await });
    }

    async fn serve<T>(self: Rc<Self>, mut stream: T, mut ip: IpAddr, local: Option<SocketAddr>, admitted: Admitted)
    where
        T: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let config = self.core.worker.snapshot().config.clone();
        let limits = config.limits.clone();
        if config.server.proxy_protocol.iter().any(|net| net.contains(&ip)) {
            match tokio::time::timeout(limits.header_timeout, proxy_protocol::read(&mut stream)).await {
                Ok(Ok(source)) => ip = source.map_or(ip, |s| s.ip().to_canonical()),
                Ok(Err(error)) => return tracing::warn!(%ip, %error, "no PROXY header from a load balancer"),
                Err(_) => return,
            }
        }
        drop(config);
        let port = local.map_or(if self.listener.tls { 443 } else { 80 }, |l| l.port());
        let worker = &self.core.worker;
        if !self.listener.tls {
            let conn = Conn::new(
                worker,
                self.listener.id,
                Peer { ip, tls: false, tls_version: None, sni: None, client_auth: None, client_cert: None, port },
                limits,
            );
            return serve(conn, stream, false, admitted);
        }
        let done = self.core.tls.accept(stream, local.map(|l| l.ip()), limits.header_timeout).await;
        let metrics = &worker.shared.metrics;
        match done {
            Ok(done) => {
                let tls_version = version_of(&done.stream);
                metrics.tls_handshake(tls_version, "ok");
                let peer = Peer {
                    ip,
                    tls: true,
                    tls_version: Some(tls_version),
                    sni: done.sni,
                    client_auth: done.client_auth,
                    client_cert: done.client_cert,
                    port,
                };
                let conn = Conn::new(worker, self.listener.id, peer, limits);
                // Boxed: moved from task to codec by its address.
                serve(conn, Box::new(done.stream), done.h2, admitted);
            }
            Err(HandshakeError::Validated) => metrics.tls_handshake("", "acme"),
            Err(error) => {
                metrics.tls_handshake("", "failed");
                tracing::debug!(%ip, %error, "TLS handshake failed");
            }
        }
    }
}

fn version_of<T>(stream: &tokio_rustls::server::TlsStream<T>) -> &'static str {
    match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "",
    }
}
