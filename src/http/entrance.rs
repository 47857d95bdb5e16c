//! From an accepted socket to a served connection: PROXY protocol and TLS handshake, each within `header_timeout`.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::timeout;

use super::connection::{ClientStream, Conn, serve};
use super::handle::ExchangeHandler;
use crate::config::Limits;
use crate::decide::Peer;
use crate::listen::{Accepted, Admitted, read_proxy_header};
use crate::metrics::HandshakeResult;
use crate::tls::{Handshake, HandshakeError, Tls};
use crate::worker::{Arrival, Entrance, Worker};

/// Serves HTTP/1.1 and HTTP/2 on what is accepted.
pub struct HttpEntrance {
    tls: Arc<Tls>,
}

impl HttpEntrance {
    pub fn new(tls: Arc<Tls>) -> Self {
        Self { tls }
    }
}

impl Entrance for HttpEntrance {
    fn serve(&self, worker: &Rc<Worker>, arrival: Arrival) {
        let (tls, worker) = (self.tls.clone(), worker.clone());
        // Ends with the handshake, which is bounded in time; the connection goes on in a task of its own.
        tokio::task::spawn_local(async move {
            let Arrival { socket, peer, listener, admitted } = arrival;
            let coming = Coming { local: socket.local(), listener: listener.id, worker, admitted };
            let tls = listener.tls.then_some(tls);
            match socket {
                Accepted::Tcp(stream, _) => coming.let_in(stream, peer.ip(), tls).await,
                Accepted::Unix(stream) => coming.let_in(stream, peer.ip(), tls).await,
            }
        });
    }
}

/// A connection that is on its way in.
struct Coming {
    worker: Rc<Worker>,
    listener: usize,
    local: Option<SocketAddr>,
    admitted: Admitted,
}

impl Coming {
    async fn let_in<T: ClientStream + 'static>(mut self, mut stream: T, peer: IpAddr, tls: Option<Arc<Tls>>) {
        let config = self.worker.snapshot().config.clone();
        let limits = config.limits.clone();
        let mut ip = peer;
        if config.server.proxy_protocol.iter().any(|net| net.contains(&ip)) {
            match timeout(limits.header_timeout, read_proxy_header(&mut stream)).await {
                Ok(Ok(Some(source))) => {
                    ip = source.ip().to_canonical();
                    if let Err(limit) = self.admitted.count_for(ip, &limits) {
                        return limit.say(ip);
                    }
                }
                // A check of the balancer's own.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return tracing::warn!(%ip, %error, "no PROXY header from a load balancer"),
                Err(_) => return,
            }
        }
        drop(config);
        let port = self.local.map_or(if tls.is_some() { 443 } else { 80 }, |local| local.port());
        let Some(tls) = tls else {
            let peer = Peer { ip, tls: false, tls_version: None, sni: None, proof: None, client_cert: None, port };
            return self.serve(stream, peer, false, limits);
        };
        let done = tls.accept(stream, self.local.map(|local| local.ip()), limits.header_timeout).await;
        let metrics = &self.worker.shared.metrics;
        match done {
            Ok(Handshake { stream, version, sni, proof, client_cert, h2 }) => {
                metrics.tls_handshake(HandshakeResult::Ok(version));
                let peer = Peer { ip, tls: true, tls_version: Some(version), sni, proof, client_cert, port };
                // Boxed: moved from task to codec by its address.
                self.serve(Box::new(stream), peer, h2, limits);
            }
            Err(HandshakeError::Validated) => metrics.tls_handshake(HandshakeResult::Validated),
            Err(error) => {
                metrics.tls_handshake(HandshakeResult::Failed);
                tracing::debug!(%ip, %error, "TLS handshake failed");
            }
        }
    }

    fn serve<T: ClientStream + 'static>(self, stream: T, peer: Peer, speaks_h2: bool, limits: Limits) {
        let conn = Conn::new(&self.worker, self.listener, peer, limits);
        serve(conn, stream, speaks_h2, ExchangeHandler, self.admitted);
    }
}
