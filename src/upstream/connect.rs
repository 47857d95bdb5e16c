//! One new connection to one backend: TCP or unix socket, TLS where asked for, then an HTTP/1.1 or HTTP/2 client on it.

use std::cell::OnceCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use pingora_core::ErrorType;
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::upstreams::peer::HttpPeer;
use rustix::io::Errno;

use super::counted::Counted;
use super::early_answer::EarlyAnswer;
use super::outgoing::Outgoing;
use crate::config;
use crate::resources::{Descriptor, DescriptorsExhausted};
use crate::service::{Backend, Endpoint};
use crate::trust::{BackendTls, plain_connector};
use crate::types::Scheme;

/// hyper's read buffer for the answers on one connection, by default: a larger one reads a large answer in fewer calls. A head has
/// to fit into it.
const READ_BUFFER: usize = 8192 + 100 * 4096;

/// HTTP/2: how much of one answer a backend may send before the client has taken it. The protocol's default of 64 KiB stops a
/// large answer once per round trip; with a megabyte it flows at a gigabit per second over 8 ms.
const STREAM_WINDOW: u32 = 1 << 20;

/// HTTP/2: the same for all answers on one connection together. Twice the window of one answer, so that one client that has
/// stopped reading does not hold up the others; it bounds what a connection buffers.
const CONNECTION_WINDOW: u32 = 2 << 20;

/// HTTP/2: a connection that is silent for this long gets a PING, so that one whose backend has vanished is found before many
/// requests wait on it.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// HTTP/2: how long the answer to that PING may take; hyper's default. Then the connection is closed.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no connection. The text is what operators read: `connection refused`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    #[error("{0}")]
    Failed(String),
    /// This process lacks what a connection takes: a descriptor, or the kernel's memory. It says nothing about the backend.
    #[error("edgectl lacks what a connection takes: {0}")]
    OutOfDescriptors(String),
}

impl From<DescriptorsExhausted> for ConnectError {
    fn from(none: DescriptorsExhausted) -> Self {
        Self::OutOfDescriptors(none.to_string())
    }
}

/// A client on a fresh connection. HTTP/2 is shared by clones; HTTP/1.1 carries one exchange at a time.
pub(super) enum UpstreamSender {
    H1(http1::SendRequest<Outgoing>),
    H2(http2::SendRequest<Outgoing>),
}

/// A fresh connection, and what vouched for its backend; `None`: no TLS.
pub(super) struct Connected {
    pub sender: UpstreamSender,
    pub tls: Option<Arc<BackendTls>>,
}

/// Makes connections. Belongs to one thread; reads no file.
#[derive(Default)]
pub(super) struct Connector {
    plain: OnceCell<TransportConnector>,
}

impl Connector {
    /// Connects within `service.connect_timeout`, TLS handshake included. The connection keeps `descriptor` as long as it is open.
    pub async fn connect(
        &self,
        backend: &Backend,
        service: &config::ServiceConfig,
        descriptor: Option<Descriptor>,
    ) -> Result<Connected, ConnectError> {
        let limit = service.connect_timeout;
        match tokio::time::timeout(limit, self.connect_unbounded(backend, service, descriptor)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(limit)),
        }
    }

    async fn connect_unbounded(
        &self,
        backend: &Backend,
        service: &config::ServiceConfig,
        descriptor: Option<Descriptor>,
    ) -> Result<Connected, ConnectError> {
        let tls = (backend.addr().scheme == Scheme::Https).then(|| backend.tls());
        let peer = peer(backend, tls.as_deref())?;
        let connector = match &tls {
            Some(tls) => tls.connector().map_err(|why| ConnectError::Failed(why.to_owned()))?,
            None => self.plain()?,
        };
        let stream = connector.new_stream(&peer).await.map_err(|e| describe(&e))?;
        let h2 = match backend.addr().scheme {
            Scheme::H2c => true,
            Scheme::Https => matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
            Scheme::Http1 | Scheme::Unix => false,
        };
        let stream = Counted::new(stream, descriptor);
        let sender = if h2 { speak_h2(stream, service).await? } else { speak_h1(stream, service).await? };
        Ok(Connected { sender, tls })
    }

    fn plain(&self) -> Result<&TransportConnector, ConnectError> {
        if let Some(made) = self.plain.get() {
            return Ok(made);
        }
        let made = plain_connector().map_err(|error| ConnectError::Failed(error.to_string()))?;
        Ok(self.plain.get_or_init(|| made))
    }
}

fn peer(backend: &Backend, tls: Option<&BackendTls>) -> Result<HttpPeer, ConnectError> {
    let sni = tls.map(|tls| match &tls.server_name {
        Some(name) => name.as_str().to_owned(),
        None => backend.addr().host.clone(),
    });
    let (is_tls, sni) = (tls.is_some(), sni.unwrap_or_default());
    let mut peer = match backend.endpoint() {
        Endpoint::Tcp(addr) => HttpPeer::new(*addr, is_tls, sni),
        Endpoint::Unix(path) => {
            HttpPeer::new_uds(&path.display().to_string(), is_tls, sni).map_err(|e| describe(&e))?
        }
    };
    if let Some(tls) = tls {
        peer.options.verify_cert = tls.verify;
        peer.options.verify_hostname = tls.verify;
        peer.options.alpn = ALPN::H2H1;
    }
    Ok(peer)
}

async fn speak_h1(stream: Counted<Stream>, service: &config::ServiceConfig) -> Result<UpstreamSender, ConnectError> {
    let (sender, connection) = http1::Builder::new()
        .max_headers(service.response_headers)
        .max_header_size(service.response_header_size)
        .max_buf_size(READ_BUFFER.max(service.response_header_size + 1024))
        // RFC 9112, 5.1: a proxy removes them. Folded lines stay a 502 (5.2): to look for them costs each answer 1,200 instructions.
        .allow_spaces_after_header_name_in_responses(true)
        .handshake(TokioIo::new(EarlyAnswer::new(stream)))
        .await
        .map_err(|e| ConnectError::Failed(e.to_string()))?;
    // Owned by its sender and its response body: ends when both are gone, or when the backend closes.
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(UpstreamSender::H1(sender))
}

async fn speak_h2(stream: Counted<Stream>, service: &config::ServiceConfig) -> Result<UpstreamSender, ConnectError> {
    let (sender, connection) = http2::Builder::new(LocalExecutor)
        .max_header_list_size(u32::try_from(service.response_header_size).unwrap_or(u32::MAX))
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|e| ConnectError::Failed(e.to_string()))?;
    // Owned by the senders cloned from this one: ends when the last is gone, or when the backend closes.
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    Ok(UpstreamSender::H2(sender))
}

/// Spawns hyper's own tasks on the worker that they belong to.
#[derive(Clone, Copy)]
pub struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// pingora's error in the words of the operating system.
fn describe(error: &pingora_core::Error) -> ConnectError {
    if let Some(lack) = own_lack(error) {
        return ConnectError::OutOfDescriptors(lack.to_string());
    }
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
            let context = error.context.as_ref().map(pingora_core::ImmutStr::as_str).unwrap_or_default();
            ConnectError::Failed(format!("{kind}: {}", tls_reason(context)))
        }
        _ => ConnectError::Failed(kind.to_owned()),
    }
}

/// The kernel's refusal to give this process another socket.
fn own_lack(error: &pingora_core::Error) -> Option<&io::Error> {
    const LACKS: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    let cause = error.root_cause().downcast_ref::<io::Error>()?;
    LACKS.iter().any(|lack| cause.raw_os_error() == Some(lack.raw_os_error())).then_some(cause)
}

/// What rustls has said, out of the sentence that pingora makes of it; for the common reasons, what to do.
fn tls_reason(context: &str) -> String {
    let (said, _) = context.rsplit_once(", SNI: ").unwrap_or((context, ""));
    let said = said.rsplit_once("cause: ").map_or(said, |(_, cause)| cause).trim();
    // BadSignature: a root of the same name, with another key.
    let advice = if said.contains("UnknownIssuer") || said.contains("BadSignature") {
        "; none of the trusted roots has signed its certificate: name the right one in tls_ca"
    } else if said.contains("not valid for name") || said.contains("NotValidForName") {
        "; set tls_server_name to a name that its certificate has"
    } else {
        ""
    };
    format!("{said}{advice}")
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

#[cfg(test)]
mod tests {
    use super::tls_reason;

    #[test]
    fn the_reason_is_what_rustls_has_said() {
        let wrapped = " TLSHandshakeFailure context: tls connect error cause: invalid peer certificate: UnknownIssuer";
        let reason = tls_reason(&format!("TLS connect() failed: {wrapped}, SNI: app"));
        assert!(reason.starts_with("invalid peer certificate: UnknownIssuer; "), "{reason}");
        assert!(reason.ends_with("tls_ca"), "{reason}");
        let name = "invalid peer certificate: certificate not valid for name \"a\"";
        assert!(tls_reason(&format!("TLS connect() failed: cause: {name}, SNI: a")).contains("set tls_server_name"));
        assert_eq!(tls_reason("tls stream error"), "tls stream error");
    }
}
