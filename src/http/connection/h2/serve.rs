//! HTTP/2 to its end: each stream a task of its own, what they write in one turn one record.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;

use super::coalesce::{Coalesce, Flusher};
use super::frame_watch::FrameWatch;
use crate::http::connection::conn::Conn;
use crate::http::connection::handler::Handler;
use crate::http::connection::stream::{ClientStream, LINGER_TIME, linger};
use crate::upstream::LocalExecutor;
use crate::worker::{AbortableStream, ConnectionOrder};

/// What a client may send on one stream before we have taken it (SETTINGS_INITIAL_WINDOW_SIZE, RFC 9113, 6.9.2): four times
/// the protocol's default, so that an upload over a link of 50 ms is not held to 10 Mbit/s.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection together: the most of its uploads that is ever held in memory.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// The most of one stream's answer that waits in the codec for its client.
const SEND_BUFFER: usize = 256 * 1024;

/// Streams that a client has opened and reset before they were served (CVE-2023-44487, "rapid reset"); one more ends the
/// connection. hyper's default.
const PENDING_RESETS: usize = 20;

/// Streams that we had to reset for the client's errors; more end the connection (CVE-2025-8671, "made you reset"). A tenth of
/// hyper's default.
const ERROR_RESETS: usize = 100;

pub async fn serve<T: ClientStream + 'static, H: Handler>(conn: Rc<Conn>, io: T, handler: H) {
    let (io, calm) = FrameWatch::new(io, conn.clone());
    let (io, flusher) = Coalesce::new(io);
    drive(&conn, io, &flusher, handler).await;
    if let (Some(goaway), Some((io, pending))) = (calm.goaway(), flusher.into_parts()) {
        tracing::debug!(ip = %conn.peer().ip, "too many HTTP/2 control frames");
        // Boxed: what few connections come to must not make all of them larger.
        Box::pin(say_goodbye(io, pending, goaway)).await;
    }
}

/// Runs the codec to its end, or to the connection's.
async fn drive<T, H>(conn: &Rc<Conn>, io: Coalesce<T>, flusher: &Flusher<T>, handler: H)
where
    T: ClientStream + 'static,
    H: Handler,
{
    let limits = conn.limits();
    let service = {
        let conn = conn.clone();
        service_fn(move |request| handler.answer(&conn, request))
    };
    let codec = http2::Builder::new(StreamExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    let mut codec = pin!(codec);
    let mut finishing = false;
    let mut ended = false;
    let serving = poll_fn(|cx| {
        match conn.poll_order(cx) {
            ConnectionOrder::Abort => return Poll::Ready(()),
            ConnectionOrder::Finish if !finishing => {
                finishing = true;
                codec.as_mut().graceful_shutdown();
            }
            ConnectionOrder::Finish | ConnectionOrder::Serve => conn.stir(),
        }
        conn.unread().poll(cx);
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

/// The last frame, behind what the codec has written.
async fn say_goodbye(mut io: impl ClientStream, mut pending: Vec<u8>, goaway: [u8; 17]) {
    pending.extend_from_slice(&goaway);
    if let Ok(Ok(())) = tokio::time::timeout(LINGER_TIME, io.write_all(&pending)).await {
        linger(&mut io).await;
    }
}

/// Makes each stream's task abortable before it is spawned.
#[derive(Clone, Copy)]
struct StreamExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        LocalExecutor.execute(AbortableStream::new(future));
    }
}
