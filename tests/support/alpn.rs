//! A backend with TLS that offers the protocols a test wants, and says by which it was asked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tls::Identity;

/// Answers every request with the protocol it came by, and each WebSocket with what it sends.
pub struct AlpnOrigin {
    _runtime: Runtime,
    addr: SocketAddr,
    state: Arc<State>,
}

/// One request over HTTP/2, probes too.
#[derive(Clone, Debug)]
pub struct SeenH2 {
    pub path: String,
    pub scheme: String,
}

struct State {
    max_streams: Option<u32>,
    seen: Mutex<Vec<SeenH2>>,
    connections: AtomicUsize,
}

impl AlpnOrigin {
    /// `alpn` in its order of preference; `max_streams` at once on each HTTP/2 connection.
    pub fn start(alpn: &[&[u8]], max_streams: Option<u32>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Identity::for_names(&["origin.test"]).server_config(alpn));
        let state = Arc::new(State { max_streams, seen: Mutex::default(), connections: AtomicUsize::new(0) });
        let accepting = state.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, acceptor) = (accepting.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                        state.speak_h2(stream).await;
                    } else {
                        speak_h1(stream).await;
                    }
                });
            }
        });
        Self { _runtime: runtime, addr, state }
    }

    pub fn backend(&self) -> String {
        format!("https://{}", self.addr)
    }

    pub fn seen(&self) -> Vec<SeenH2> {
        self.state.seen.lock().unwrap().clone()
    }

    /// HTTP/2 connections that carried anything but a probe.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

impl State {
    async fn speak_h2(self: Arc<Self>, stream: TlsStream<TcpStream>) {
        let mut builder = h2::server::Builder::new();
        if let Some(max) = self.max_streams {
            builder.max_concurrent_streams(max);
        }
        let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
        let mut is_known = false;
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let uri = request.uri();
            let (path, scheme) = (uri.path().to_owned(), uri.scheme_str().unwrap_or_default().to_owned());
            if !path.starts_with("/health/") && !std::mem::replace(&mut is_known, true) {
                self.connections.fetch_add(1, Ordering::SeqCst);
            }
            let pause = Duration::from_millis(if path == "/slow" { 700 } else { 0 });
            self.seen.lock().unwrap().push(SeenH2 { path, scheme });
            tokio::spawn(async move {
                tokio::time::sleep(pause).await;
                let Ok(mut body) = respond.send_response(Response::new(()), false) else { return };
                let _ = body.send_data(Bytes::from_static(b"h2"), true);
            });
        }
    }
}

async fn speak_h1(mut stream: TlsStream<TcpStream>) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let asked = String::from_utf8_lossy(&std::mem::take(&mut head)).to_ascii_lowercase();
        if !asked.contains("upgrade: websocket") {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhttp/1.1";
            if stream.write_all(answer).await.is_err() {
                return;
            }
            continue;
        }
        let answer =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nX-Color: it\r\n\r\n";
        let _ = stream.write_all(answer).await;
        let (mut reading, mut writing) = tokio::io::split(stream);
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
        return;
    }
}
