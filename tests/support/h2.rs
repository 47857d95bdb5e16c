//! HTTP/2: a client whose streams a test can hold still, and a backend that speaks it without TLS.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::tls::Hello;
use super::wait::PATIENCE;

/// One HTTP/2 connection to the daemon.
pub struct H2 {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    host: String,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer2 {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: Option<HeaderMap>,
}

impl H2 {
    pub fn connect(hello: &Hello) -> Self {
        Self::with_window(hello, 65_535)
    }

    /// Takes `window` bytes of each answer before the test has to ask for more.
    pub fn with_window(hello: &Hello, window: u32) -> Self {
        let runtime = runtime();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(hello.addr()).await.unwrap();
            let tls = TlsConnector::from(hello.config(&[b"h2"])).connect(hello.server_name(), stream).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "h2 was not agreed on");
            let (sender, connection) = h2::client::Builder::new()
                .initial_window_size(window)
                // Room for other streams beside one that a test holds still.
                .initial_connection_window_size(4 << 20)
                .handshake(tls)
                .await
                .unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, host: hello.host().to_owned() }
    }

    pub fn get(&mut self, path: &str) -> Answer2 {
        self.ask(self.request("GET", path), b"", None).unwrap()
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Answer2 {
        self.ask(self.request("POST", path), body, None).unwrap()
    }

    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(format!("https://{}{path}", self.host))
    }

    /// A whole exchange; an error is a reset stream or a lost connection.
    pub fn ask(
        &mut self,
        request: http::request::Builder,
        body: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<Answer2, h2::Error> {
        let bodyless = body.is_empty() && trailers.is_none();
        let (answer, mut stream) = self.begin(request, bodyless)?;
        let send = async {
            if !bodyless {
                send_all(&mut stream, Bytes::copy_from_slice(body), trailers.is_none()).await?;
                if let Some(trailers) = trailers {
                    stream.send_trailers(trailers)?;
                }
            }
            Ok::<_, h2::Error>(())
        };
        // An answer may come while the request is sent, and the windows in between hold less than either.
        let (sent, answer) = self.run(async { tokio::join!(send, whole(answer)) });
        // A request that is refused need not be sent to its end.
        answer.map_err(|error| sent.err().unwrap_or(error))
    }

    /// Sends a head; the test sends what follows.
    pub fn begin(
        &mut self,
        request: http::request::Builder,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let sender = self.sender.clone();
        let mut ready = self.run(async { sender.ready().await })?;
        ready.send_request(request.body(()).unwrap(), end)
    }

    pub fn finish(&self, answer: ResponseFuture) -> Result<Answer2, h2::Error> {
        self.run(whole(answer))
    }

    /// Waits for `future` with the usual patience.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("no answer in time") })
    }

    /// Whether the daemon has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        let sender = self.sender.clone();
        let ready = async { tokio::time::timeout(std::time::Duration::from_millis(20), sender.ready()).await };
        matches!(self.runtime.block_on(ready), Ok(Err(_)))
    }
}

impl Answer2 {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

async fn whole(answer: ResponseFuture) -> Result<Answer2, h2::Error> {
    let (head, mut body) = answer.await?.into_parts();
    let bytes = receive(&mut body).await?;
    let trailers = body.trailers().await?;
    Ok(Answer2 { status: head.status.as_u16(), headers: head.headers, body: bytes, trailers })
}

/// Sends as fast as the other side takes it.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut data: Bytes, end: bool) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.transpose()?.unwrap_or(0);
        let part = data.split_to(room.min(data.len()));
        stream.send_data(part, false)?;
    }
    if end { stream.send_data(Bytes::new(), true) } else { Ok(()) }
}

/// The rest of a body, flow control released as it is read.
pub async fn receive(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// The length of the answer to `/large`.
pub const LARGE: usize = 4 << 20;

/// A backend that speaks HTTP/2 with prior knowledge: echoes bodies and trailers, remembers heads. `/deaf` reads nothing of a body.
pub struct H2Origin {
    _runtime: Runtime,
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Request<()>>>>,
}

impl H2Origin {
    pub fn start() -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        runtime.spawn(accept(listener, seen.clone()));
        Self { _runtime: runtime, addr, seen }
    }

    pub fn backend(&self) -> String {
        format!("h2c://{}", self.addr)
    }

    pub fn saw(&self, path: &str) -> Request<()> {
        let seen = self.seen.lock().unwrap();
        let found = seen.iter().rev().find(|request| request.uri().path() == path);
        let found = found.unwrap_or_else(|| panic!("no request for {path}"));
        let mut copy = Request::builder().method(found.method()).uri(found.uri()).body(()).unwrap();
        *copy.headers_mut() = found.headers().clone();
        copy
    }
}

async fn accept(listener: TcpListener, seen: Arc<Mutex<Vec<Request<()>>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let seen = seen.clone();
        tokio::spawn(async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(echo(request, respond, seen.clone()));
            }
        });
    }
}

async fn echo(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: Arc<Mutex<Vec<Request<()>>>>,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let content_type = head.headers.get("content-type").cloned();
    let is_probe = head.uri.path().starts_with("/health/");
    let is_deaf = head.uri.path() == "/deaf";
    let is_large = head.uri.path() == "/large";
    if !is_probe {
        seen.lock().unwrap().push(Request::from_parts(head, ()));
    }
    let mut answer = Response::new(());
    answer.headers_mut().extend(content_type.map(|value| (http::header::CONTENT_TYPE, value)));
    let mut stream = respond.send_response(answer, is_probe)?;
    if is_probe {
        return Ok(());
    }
    if is_deaf {
        std::future::pending::<()>().await;
    }
    if is_large {
        return send_all(&mut stream, vec![b'x'; LARGE].into(), true).await;
    }
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        send_all(&mut stream, part, false).await?;
    }
    match body.trailers().await? {
        Some(trailers) => stream.send_trailers(trailers),
        None => stream.send_data(Bytes::new(), true),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}
