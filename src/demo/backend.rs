//! The application of the demo: one small server per colour that says which colour it is.
//!
//! `GET /` greets, `GET /health/` passes probes, `POST /upload` sends the body back, `GET /download/N` streams N pieces
//! slowly, `GET /echo` upgrades to a tunnel that echoes. Every answer names its colour in `x-demo-color`.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::types::Color;

/// The response header that names the colour that answered.
pub(super) const COLOR_HEADER: &str = "x-demo-color";

/// A download is sent in pieces of this size ...
pub(super) const PIECE: usize = 8 * 1024;

/// ... one piece in this time.
pub(super) const PIECE_EVERY: Duration = Duration::from_millis(20);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running backend; stops taking connections when dropped.
pub(super) struct DemoBackend {
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

impl DemoBackend {
    pub async fn start(color: Color) -> Result<Self, String> {
        let cannot = |e: std::io::Error| format!("cannot start the {color} backend: {e}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let addr = listener.local_addr().map_err(cannot)?;
        // Ends when the backend is dropped.
        let task = tokio::task::spawn_local(accept(listener, color));
        Ok(Self { addr, task })
    }
}

impl Drop for DemoBackend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What `GET /` says.
pub(super) fn greeting(color: Color) -> String {
    format!("hello from {color}\n")
}

/// The byte of a download at this place. The bytes vary, so that a lost or doubled piece is noticed.
pub(super) fn download_byte(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap_or(0)
}

async fn accept(listener: TcpListener, color: Color) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            // Ends with the connection, which the proxy closes.
            tokio::task::spawn_local(serve(stream, color));
        }
    }
}

/// An error here reaches the traffic as an answer of the proxy.
async fn serve(stream: TcpStream, color: Color) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| async move {
        let mut response = answer(request, color).await;
        response.headers_mut().insert(COLOR_HEADER, HeaderValue::from_static(color.as_str()));
        Ok::<_, Infallible>(response)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = connection.with_upgrades().await;
}

async fn answer(mut request: Request<Incoming>, color: Color) -> Response<Body> {
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/") => whole(StatusCode::OK, greeting(color)),
        (&Method::GET, "/health/") => whole(StatusCode::OK, "ok\n"),
        (&Method::GET, "/echo") => {
            // Ends with the tunnel.
            tokio::task::spawn_local(echo(hyper::upgrade::on(&mut request)));
            let mut response = whole(StatusCode::SWITCHING_PROTOCOLS, "");
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            response
        }
        (&Method::POST, "/upload") => match request.into_body().collect().await {
            Ok(body) => whole(StatusCode::OK, body.to_bytes()),
            Err(error) => whole(StatusCode::BAD_REQUEST, format!("the upload broke: {error}\n")),
        },
        (&Method::GET, path) => match path.strip_prefix("/download/").and_then(|pieces| pieces.parse().ok()) {
            Some(pieces) => download(pieces),
            None => whole(StatusCode::NOT_FOUND, "no such page\n"),
        },
        _ => whole(StatusCode::METHOD_NOT_ALLOWED, "GET, or POST to /upload\n"),
    }
}

fn whole(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn download(pieces: usize) -> Response<Body> {
    let pieces_left = stream::unfold(0, move |sent| async move {
        if sent == pieces {
            return None;
        }
        tokio::time::sleep(PIECE_EVERY).await;
        let start = sent * PIECE;
        let piece: Bytes = (start..start + PIECE).map(download_byte).collect();
        Some((Ok(Frame::data(piece)), sent + 1))
    });
    let mut response = Response::new(StreamBody::new(pieces_left).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(pieces * PIECE));
    response
}

async fn echo(upgraded: OnUpgrade) {
    if let Ok(tunnel) = upgraded.await {
        let (mut from, mut to) = tokio::io::split(TokioIo::new(tunnel));
        let _ = tokio::io::copy(&mut from, &mut to).await;
    }
}
