//! A connection's life under the codec: served, told to finish, turned into a tunnel, or closed so that the last answer
//! still arrives.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::coalesce::Coalesce;
use super::conn::{Conn, HeadWatch, Order};
use super::handle::handle;
use super::slot::Slot;
use super::stream::Stream;

/// What a refused upload may still send before its connection is closed. nginx: `lingering_close`.
const LINGER_BYTES: u64 = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A byte stream from a client: TCP, TLS or a unix socket.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> ClientStream for T {}

/// Serves the connection to its end, on a task of its own: what the handshake needed is free by then. `h2` as ALPN said;
/// `guard` is dropped at the end.
pub fn serve<T: ClientStream>(conn: Rc<Conn>, io: T, h2: bool, guard: impl Sized + 'static) {
    // Both end with the connection: by its deadlines, the worker's stop, or its abort.
    if h2 {
        tokio::task::spawn_local(async move {
            serve_h2(conn, io).await;
            drop(guard);
        });
    } else {
        tokio::task::spawn_local(async move {
            serve_h1(conn, io).await;
            drop(guard);
        });
    }
}

async fn serve_h1<T: ClientStream>(conn: Rc<Conn>, io: T) {
    let limits = conn.limits();
    let service = {
        let (conn, slot) = (conn.clone(), Slot::on(&conn.worker().shelf));
        service_fn(move |request| slot.run(handle(&conn, request)))
    };
    let watched = TokioIo::new(HeadWatch::new(io, conn.clone()));
    let mut codec = http1::Builder::new()
        .max_headers(limits.headers)
        .max_header_size(limits.header_size)
        .max_buf_size((limits.header_size + 1024).max(64 * 1024))
        .serve_connection(watched, service);
    let mut finishing = false;
    let ended = poll_fn(|cx| {
        match conn.poll_order(cx) {
            Order::Abort => return Poll::Ready(false),
            // A codec that has read nothing would close at once; that answer's `Connection: close` ends it.
            Order::Finish if !finishing && !conn.is_fresh() => {
                finishing = true;
                Pin::new(&mut codec).graceful_shutdown();
            }
            Order::Finish | Order::Serve => {}
        }
        codec.poll_without_shutdown(cx).map(|result| result.is_ok())
    })
    .await;
    let parts = codec.into_parts();
    // Boxed: what few connections come to must not make all of them larger.
    Box::pin(part(&conn, parts.io.into_inner(), parts.read_buf, ended)).await;
}

/// The end of an HTTP/1.1 connection, or the beginning of its tunnel.
async fn part<T: ClientStream>(conn: &Conn, mut io: HeadWatch<T>, read: Bytes, ended: bool) {
    if let Some(tunnel) = conn.take_tunnel() {
        if ended {
            tunnel.run(io.into_inner(), read).await;
        }
    } else if conn.lingers() {
        linger(&mut io).await;
    } else if ended {
        let _ = tokio::time::timeout(LINGER_TIME, io.shutdown()).await;
    }
}

/// Half-closes and reads on for a bounded while: closing with bytes unread would reset the connection, and the client
/// would lose the answer that says why (RFC 9112, 9.6).
async fn linger(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let drain = async {
        let _ = io.shutdown().await;
        let _ = tokio::io::copy(&mut io.take(LINGER_BYTES), &mut tokio::io::sink()).await;
    };
    let _ = tokio::time::timeout(LINGER_TIME, drain).await;
}

async fn serve_h2<T: ClientStream>(conn: Rc<Conn>, io: T) {
    let limits = conn.limits();
    let service = {
        let conn = conn.clone();
        service_fn(move |request| handle(&conn, request))
    };
    let (io, flusher) = Coalesce::new(io);
    let codec = http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(256 << 10)
        .serve_connection(TokioIo::new(io), service);
    let mut codec = pin!(codec);
    let mut finishing = false;
    let mut ended = false;
    let serving = poll_fn(|cx| {
        match conn.poll_order(cx) {
            Order::Abort => return Poll::Ready(()),
            Order::Finish if !finishing => {
                finishing = true;
                codec.as_mut().graceful_shutdown();
            }
            Order::Finish | Order::Serve => {}
        }
        if !ended {
            ended = codec.as_mut().poll(cx).is_ready();
        }
        match flusher.poll(cx) {
            Poll::Ready(Ok(())) if ended => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    });
    serving.await;
}

/// Spawns each stream's task on the core of its connection.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(Stream::new(future));
    }
}
