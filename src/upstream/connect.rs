//! One new connection to one backend: TCP or unix socket, TLS where asked for, then an HTTP/1.1 or HTTP/2 client on it.

use std::cell::{OnceCell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
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
use super::eyeballs::either;
use super::outgoing::Outgoing;
use crate::config::{self, TlsProtocol};
use crate::resources::{Descriptor, DescriptorsExhausted};
use crate::service::{Backend, Endpoint};
use crate::trust::{BackendTls, plain_connector};
use crate::types::Scheme;

/// hyper's read buffer for the answers on one connection, at least: a head has to fit into it.
const READ_BUFFER: usize = 64 << 10;

/// HTTP/2: how much of one answer a backend may send before the client has taken it: four times the protocol's default, so that a
/// large answer flows at two gigabits per second over a millisecond.
const STREAM_WINDOW: u32 = 256 << 10;

/// HTTP/2: how many exchanges are on one connection, however many its backend allows.
const MAX_STREAMS: u32 = 256;

/// HTTP/2: the same for all answers on one connection together. All of them may wait for their clients at the same time, and the next
/// one still flows.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;

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
    /// Nothing listens there.
    #[error("{0}")]
    Refused(String),
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

impl ConnectError {
    /// Which of two errors says more: that nothing listens there is what the family says that the app does not use.
    fn or(self, other: Self) -> Self {
        if matches!(self, Self::Refused(_)) { other } else { self }
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
    /// How many exchanges the backend allows on it at the same time, as it says now; HTTP/2 alone.
    pub max_streams: Option<MaxStreams>,
}

pub(super) type MaxStreams = Rc<dyn Fn() -> usize>;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Whatever the backend and its service agree on.
    Any,
    /// HTTP/1.1, the version that an upgrade needs: a WebSocket.
    Http1,
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
        speaks: Speaks,
        descriptor: Option<Descriptor>,
    ) -> Result<Connected, ConnectError> {
        let limit = service.connect_timeout;
        match tokio::time::timeout(limit, self.connect_unbounded(backend, service, speaks, descriptor)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(limit)),
        }
    }

    async fn connect_unbounded(
        &self,
        backend: &Backend,
        service: &config::ServiceConfig,
        speaks: Speaks,
        descriptor: Option<Descriptor>,
    ) -> Result<Connected, ConnectError> {
        let protocol = if speaks == Speaks::Http1 { TlsProtocol::Http1 } else { service.tls.protocol };
        let tls = (backend.addr().scheme == Scheme::Https).then(|| backend.tls());
        let connector = match &tls {
            Some(tls) => tls.connector().map_err(|why| ConnectError::Failed(why.to_owned()))?,
            None => self.plain()?,
        };
        let by = tls.as_deref().map(|tls| (tls, protocol));
        let stream = reach(connector, backend, by).await?;
        let h2 = match backend.addr().scheme {
            Scheme::H2c => speaks == Speaks::Any,
            Scheme::Https => matches!(stream.selected_alpn_proto(), Some(ALPN::H2)),
            Scheme::Http1 | Scheme::Unix => false,
        };
        if tls.is_some() && protocol == TlsProtocol::H2 && !h2 {
            let why = "it does not choose h2 (ALPN), and tls_protocol is \"h2\"";
            return Err(ConnectError::Failed(why.to_owned()));
        }
        let stream = Counted::new(stream, descriptor);
        let (sender, max_streams) =
            if h2 { speak_h2(stream, service).await? } else { (speak_h1(stream, service).await?, None) };
        Ok(Connected { sender, tls, max_streams })
    }

    fn plain(&self) -> Result<&TransportConnector, ConnectError> {
        if let Some(made) = self.plain.get() {
            return Ok(made);
        }
        let made = plain_connector().map_err(|error| ConnectError::Failed(error.to_string()))?;
        Ok(self.plain.get_or_init(|| made))
    }
}

/// A stream by the address that there is, or by the family that works. That one is tried first the next time.
async fn reach(
    connector: &TransportConnector,
    backend: &Backend,
    tls: Option<(&BackendTls, TlsProtocol)>,
) -> Result<Stream, ConnectError> {
    let open = async |peer: HttpPeer| connector.new_stream(&peer).await.map_err(|e| describe(&e));
    let by = |addr: SocketAddr| HttpPeer::new(addr, tls.is_some(), server_name(backend, tls));
    match backend.endpoint() {
        Endpoint::Tcp(addr) => open(verified(by(*addr), tls)).await,
        Endpoint::Unix(path) => {
            let peer = HttpPeer::new_uds(&path.display().to_string(), tls.is_some(), server_name(backend, tls));
            open(verified(peer.map_err(|e| describe(&e))?, tls)).await
        }
        Endpoint::Both { v4, v6 } => {
            let v4_first = backend.prefers_v4();
            let (first, second) = if v4_first { (*v4, *v6) } else { (*v6, *v4) };
            // Boxed, because it is rare: otherwise every attempt would hold the memory for two.
            let both = Box::pin(either(open(verified(by(first), tls)), open(verified(by(second), tls))));
            let (stream, by_second) = both.await.map_err(|(one, other)| one.or(other))?;
            if by_second {
                backend.reached_by_v4(!v4_first);
            }
            Ok(stream)
        }
    }
}

/// The name that is asked for and verified.
fn server_name(backend: &Backend, tls: Option<(&BackendTls, TlsProtocol)>) -> String {
    let named = tls.map(|(tls, _)| match &tls.server_name {
        Some(name) => name.as_str().to_owned(),
        None => backend.addr().host.clone(),
    });
    named.unwrap_or_default()
}

fn verified(mut peer: HttpPeer, tls: Option<(&BackendTls, TlsProtocol)>) -> HttpPeer {
    if let Some((tls, protocol)) = tls {
        peer.options.verify_cert = tls.verify;
        peer.options.verify_hostname = tls.verify;
        peer.options.alpn = match protocol {
            TlsProtocol::Auto => ALPN::H2H1,
            TlsProtocol::H2 => ALPN::H2,
            TlsProtocol::Http1 => ALPN::H1,
        };
    }
    peer
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

async fn speak_h2(
    stream: Counted<Stream>,
    service: &config::ServiceConfig,
) -> Result<(UpstreamSender, Option<MaxStreams>), ConnectError> {
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
    // Shared, because the connection alone knows how many streams its backend allows. Polling it calls nothing of ours.
    let connection = Rc::new(RefCell::new(Box::pin(connection)));
    let known = connection.clone();
    // Owned by the senders cloned from this one: ends when the last is gone, or when the backend closes.
    tokio::task::spawn_local(async move {
        if let Err(error) = poll_fn(|cx| connection.borrow_mut().as_mut().poll(cx)).await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    let max_streams = move || known.borrow().current_max_send_streams().min(MAX_STREAMS as usize);
    Ok((UpstreamSender::H2(sender), Some(Rc::new(max_streams))))
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
    let context = error.context.as_ref().map(pingora_core::ImmutStr::as_str).unwrap_or_default();
    let text = match error.etype() {
        ErrorType::ConnectRefused => return ConnectError::Refused("connection refused".to_owned()),
        ErrorType::ConnectNoRoute => return ConnectError::Refused("no route to host".to_owned()),
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => "connection timed out".to_owned(),
        ErrorType::InvalidCert => format!("its certificate is not valid: {}", tls_reason(context)),
        ErrorType::TLSHandshakeFailure => format!("the TLS handshake failed: {}", tls_reason(context)),
        _ if nothing_is_there(error) => return ConnectError::Refused(root_cause(error)),
        _ => root_cause(error),
    };
    ConnectError::Failed(text)
}

/// A socket's file that is missing is a port on which nothing listens.
fn nothing_is_there(error: &pingora_core::Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound};
        matches!(cause.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable | NotFound)
    })
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
    } else if said.contains("NoApplicationProtocol") {
        "; it speaks no version of HTTP that it was offered: see tls_protocol"
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
        let alert = "received fatal alert: NoApplicationProtocol";
        assert!(tls_reason(&format!("TLS connect() failed: cause: {alert}, SNI: a")).contains("see tls_protocol"));
        assert_eq!(tls_reason("tls stream error"), "tls stream error");
    }
}
