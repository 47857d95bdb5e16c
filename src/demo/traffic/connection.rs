//! TLS to the door, and HTTP/1.1 over it: a connection that is kept while it works and made anew when it does not.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Traffic;
use crate::demo::backend::COLOR_HEADER;
use crate::demo::stage::HOST;
use crate::types::Color;

/// What clients believe: the demo's own root and no other.
pub(super) struct Trust {
    h1: TlsConnector,
    h2: TlsConnector,
}

impl Trust {
    pub fn in_root(pem: &Path) -> Result<Self, String> {
        let cannot = |e: &dyn std::fmt::Display| format!("cannot trust {}: {e}", pem.display());
        let root = CertificateDer::from_pem_file(pem).map_err(|e| cannot(&e))?;
        let mut roots = RootCertStore::empty();
        roots.add(root).map_err(|e| cannot(&e))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|e| cannot(&e))?.with_root_certificates(roots).with_no_client_auth();
        let connector = |alpn: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self { h1: connector(b"http/1.1"), h2: connector(b"h2") })
    }

    pub async fn h1(&self, door: SocketAddr) -> Result<TokioIo<TlsStream<TcpStream>>, String> {
        connect(&self.h1, door).await
    }

    pub async fn h2(&self, door: SocketAddr) -> Result<TokioIo<TlsStream<TcpStream>>, String> {
        connect(&self.h2, door).await
    }
}

async fn connect(tls: &TlsConnector, door: SocketAddr) -> Result<TokioIo<TlsStream<TcpStream>>, String> {
    let stream = TcpStream::connect(door).await.map_err(|e| format!("cannot connect: {e}"))?;
    stream.set_nodelay(true).map_err(|e| format!("cannot connect: {e}"))?;
    let name = ServerName::try_from(HOST).map_err(|e| e.to_string())?;
    let stream = tls.connect(name, stream).await.map_err(|e| format!("no TLS: {e}"))?;
    Ok(TokioIo::new(stream))
}

/// One client's connection, kept alive.
#[derive(Default)]
pub(super) struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
pub(super) struct Answer {
    pub color: Color,
    pub body: Bytes,
}

impl Connection {
    /// Asks and reads the whole answer, which must be a 200.
    pub async fn ask(&mut self, traffic: &Traffic, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let response = self.send(traffic, request).await?;
        whole(response).await
    }

    /// Asks; the answer's body is still to come. A connection that the door has closed between exchanges is replaced.
    pub async fn send(
        &mut self,
        traffic: &Traffic,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, String> {
        let mut sender = match self.kept().await {
            Some(kept) => kept,
            None => open(traffic).await?,
        };
        let response = sender.send_request(request).await.map_err(|e| no_answer(&e))?;
        self.sender = Some(sender);
        Ok(response)
    }

    /// The connection of the last exchange, if it can carry another one.
    async fn kept(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        let mut sender = self.sender.take()?;
        sender.ready().await.is_ok().then_some(sender)
    }
}

async fn open(traffic: &Traffic) -> Result<SendRequest<Full<Bytes>>, String> {
    let io = traffic.trust.h1(traffic.door).await?;
    let (sender, connection) = http1::handshake(io).await.map_err(|e| format!("no HTTP/1.1: {e}"))?;
    // Ends when the sender is dropped or the tunnel that came of it; what breaks is seen by its requests.
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(sender)
}

/// A request to the door, in HTTP/1.1's form.
pub(super) fn request(method: &str, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
    request.body(Full::new(body)).map_err(|e| e.to_string())
}

/// Reads an answer to its end.
pub(super) async fn whole(response: Response<Incoming>) -> Result<Answer, String> {
    let color = color_of(&response, StatusCode::OK)?;
    let body = response.into_body().collect().await.map_err(|e| broke_off(&e))?;
    Ok(Answer { color, body: body.to_bytes() })
}

/// Who answered, if the status is the wanted one.
pub(super) fn color_of<B>(response: &Response<B>, wanted: StatusCode) -> Result<Color, String> {
    if response.status() != wanted {
        return Err(format!("got {}", response.status()));
    }
    let named = |headers: &HeaderMap<HeaderValue>| headers.get(COLOR_HEADER)?.to_str().ok()?.parse().ok();
    named(response.headers()).ok_or_else(|| "the answer names no colour".to_owned())
}

pub(super) fn no_answer(error: &hyper::Error) -> String {
    format!("no answer: {error}")
}

pub(super) fn broke_off(error: &hyper::Error) -> String {
    format!("the answer broke off: {error}")
}
