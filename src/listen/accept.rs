//! One socket's accept loop on one worker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::socket::{Bound, Listener};
use crate::resources::Descriptors;

/// The pause while descriptors are scarce, and after accepting has failed. The kernel's queue holds what comes meanwhile.
const REST: Duration = Duration::from_millis(50);

/// A socket that was accepted.
#[derive(Debug)]
pub enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Accepted {
    /// The other end, an IPv4 address as such; behind a unix socket it counts as this machine.
    pub fn peer(&self) -> SocketAddr {
        match self {
            Self::Tcp(_, peer) => SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            Self::Unix(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
        }
    }

    /// Where it was accepted, an IPv4 address as such; nowhere in particular on a unix socket.
    pub fn local(&self) -> Option<SocketAddr> {
        let Self::Tcp(stream, _) = self else { return None };
        let local = stream.local_addr().ok()?;
        Some(SocketAddr::new(local.ip().to_canonical(), local.port()))
    }
}

/// An accept loop that runs until it is stopped.
pub struct Accepting {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Accepting {
    /// Gives every accepted socket to `take`, which must not block, and pauses while `descriptors` are scarce. Runs on the current
    /// thread.
    pub fn start(
        listener: &Arc<Listener>,
        descriptors: Arc<Descriptors>,
        take: impl Fn(Accepted) + 'static,
    ) -> io::Result<Self> {
        let socket = AsyncSocket::new(listener.share()?)?;
        let (stop, stopped) = oneshot::channel();
        // Ends when `stop` is sent or dropped.
        let task = tokio::task::spawn_local(accept_until(listener.clone(), socket, descriptors, take, stopped));
        Ok(Self { task, stop })
    }

    /// Takes what is queued already, and closes this worker's handle on the socket.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

async fn accept_until(
    listener: Arc<Listener>,
    socket: AsyncSocket,
    descriptors: Arc<Descriptors>,
    take: impl Fn(Accepted),
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = accept_next(&socket, &descriptors) => accepted,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok(accepted) => take_ready(accepted, &take),
            Err(error) => {
                if descriptors.is_to_be_said(Instant::now()) {
                    tracing::warn!(addr = %listener.addr, %error, "accept failed");
                }
                tokio::time::sleep(REST).await;
            }
        }
    }
    if let Err(error) = socket.take_queued(&take) {
        tracing::warn!(addr = %listener.addr, %error, "what was queued could not be served");
    }
}

/// The next connection, once there are descriptors enough: the last ones are for the clients that are in already.
async fn accept_next(socket: &AsyncSocket, descriptors: &Descriptors) -> io::Result<Accepted> {
    while descriptors.are_scarce() {
        if descriptors.is_to_be_said(Instant::now()) {
            tracing::warn!(clients = descriptors.clients(), "few file descriptors are left: accepting pauses");
        }
        tokio::time::sleep(REST).await;
    }
    socket.accept().await
}

fn take_ready(accepted: Accepted, take: impl Fn(Accepted)) {
    if let Accepted::Tcp(stream, _) = &accepted
        && let Err(error) = stream.set_nodelay(true)
    {
        return tracing::debug!(%error, "client gone before it was served");
    }
    take(accepted);
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

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, peer)| Accepted::Tcp(stream, peer)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    /// Clients in the kernel's queue are connected already, so they are served too. Asks the kernel, since the runtime may not
    /// know of them yet; then closes.
    fn take_queued(self, take: impl Fn(Accepted)) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, peer)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    take_ready(Accepted::Tcp(TcpStream::from_std(stream)?, peer), &take);
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    take_ready(Accepted::Unix(UnixStream::from_std(stream)?), &take);
                }
            }
        }
        Ok(())
    }
}
