//! One new connection to one backend: TCP or unix socket, TLS where asked for, then an HTTP/1.1 or HTTP/2 client on it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use pingora_core::ErrorType;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::upstreams::peer::HttpPeer;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::outgoing::Outgoing;
use crate::config;
use crate::service::{Backend, Endpoint};
use crate::types::Scheme;

/// Why there is no connection. The text is what operators read: `connection refused`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Failed(String),
}

/// A client on a fresh connection. HTTP/2 is shared by clones; HTTP/1.1 carries one exchange at a time.
pub(super) enum Sender {
    H1(http1::SendRequest<Outgoing>),
    H2(http2::SendRequest<Outgoing>),
}

/// pingora's connectors, one for each set of trusted roots. Belongs to one thread.
#[derive(Default)]
pub struct Connector {
    by_ca: RefCell<HashMap<Option<PathBuf>, Rc<TransportConnector>>>,
}

impl Connector {
    /// Connects within `service.connect_timeout`, TLS handshake included.
    pub(super) async fn connect(&self, backend: &Backend, service: &config::Service) -> Result<Sender, ConnectError> {
        let limit = service.connect_timeout;
        match tokio::time::timeout(limit, self.connect_unbounded(backend, service)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(limit)),
        }
    }

    async fn connect_unbounded(&self, backend: &Backend, service: &config::Service) -> Result<Sender, ConnectError> {
        let peer = peer(backend, service)?;
        let ca = if peer.is_tls() { service.tls.ca.as_deref() } else { None };
        let connector = self.transport(ca)?;
        let stream = connector.new_stream(&peer).await.map_err(|e| describe(&e))?;
        let h2 = match backend.addr().scheme {
            Scheme::H2c => true,
            Scheme::Https => matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
            Scheme::Http1 | Scheme::Unix => false,
        };
        if h2 { speak_h2(stream).await } else { speak_h1(stream).await }
    }

    fn transport(&self, ca: Option<&Path>) -> Result<Rc<TransportConnector>, ConnectError> {
        if let Some(found) = self.by_ca.borrow().get(&ca.map(Path::to_path_buf)) {
            return Ok(found.clone());
        }
        let mut options = ConnectorOptions::new(0);
        if let Some(path) = ca {
            // pingora panics on a file it can't read; ours is an answer.
            let text = fs::read(path).map_err(|e| ConnectError::Failed(format!("tls_ca {}: {e}", path.display())))?;
            if !CertificateDer::pem_slice_iter(&text).any(|cert| cert.is_ok()) {
                return Err(ConnectError::Failed(format!("tls_ca {}: no certificate in it", path.display())));
            }
            options.ca_file = Some(path.display().to_string());
        }
        let made = Rc::new(TransportConnector::new(Some(options)));
        self.by_ca.borrow_mut().insert(ca.map(Path::to_path_buf), made.clone());
        Ok(made)
    }
}

fn peer(backend: &Backend, service: &config::Service) -> Result<HttpPeer, ConnectError> {
    let tls = backend.addr().scheme == Scheme::Https;
    let sni = || match &service.tls.server_name {
        Some(name) => name.as_str().to_owned(),
        None => backend.addr().host.clone(),
    };
    let sni = if tls { sni() } else { String::new() };
    let mut peer = match backend.endpoint() {
        Endpoint::Tcp(addr) => HttpPeer::new(*addr, tls, sni),
        Endpoint::Unix(path) => HttpPeer::new_uds(&path.display().to_string(), tls, sni).map_err(|e| describe(&e))?,
    };
    peer.options.verify_cert = service.tls.verify;
    peer.options.verify_hostname = service.tls.verify;
    if tls {
        peer.options.alpn = ALPN::H2H1;
    }
    Ok(peer)
}

async fn speak_h1(stream: Stream) -> Result<Sender, ConnectError> {
    let (sender, connection) = http1::Builder::new()
        .max_headers(256)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| ConnectError::Failed(e.to_string()))?;
    // Owned by its sender and its response body: ends when both are gone, or when the backend closes.
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(Sender::H1(sender))
}

async fn speak_h2(stream: Stream) -> Result<Sender, ConnectError> {
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| ConnectError::Failed(e.to_string()))?;
    // Owned by the senders cloned from this one: ends when the last is gone, or when the backend closes.
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(Sender::H2(sender))
}

/// Spawns hyper's own tasks on the core they belong to.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// pingora's error in the words of the operating system.
fn describe(error: &pingora_core::Error) -> ConnectError {
    let kind = match error.etype() {
        ErrorType::ConnectRefused => "connection refused",
        ErrorType::ConnectNoRoute => "no route to host",
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => "connection timed out",
        ErrorType::InvalidCert => "its certificate is not valid",
        ErrorType::TLSHandshakeFailure => "the TLS handshake failed",
        _ => return ConnectError::Failed(root_cause(error)),
    };
    match error.etype() {
        ErrorType::InvalidCert | ErrorType::TLSHandshakeFailure => {
            ConnectError::Failed(format!("{kind}: {}", root_cause(error)))
        }
        _ => ConnectError::Failed(kind.to_owned()),
    }
}

fn root_cause(error: &pingora_core::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match &error.cause {
        Some(cause) => cause.to_string(),
        None => cause.to_string(),
    }
}
