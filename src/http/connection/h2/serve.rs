//! HTTP/2 to its end: each stream a task of its own, what they write in one turn one record.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use h2::RecvStream;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use http::{Request, header};
use tokio::io::AsyncWriteExt;

use super::coalesce::{Coalesce, Flusher};
use super::frame_watch::FrameWatch;
use super::stream::ServedStream;
use crate::config::Limits;
use crate::http::connection::conn::Conn;
use crate::http::connection::handler::Handler;
use crate::http::connection::request_body::RequestBody;
use crate::http::connection::stream::{ClientStream, LINGER_TIME, linger};
use crate::resources::HeldBytes;
use crate::worker::{AbortableStream, ConnectionOrder};

/// What a client may send on one stream before we have taken it (SETTINGS_INITIAL_WINDOW_SIZE, RFC 9113, 6.9.2): four times
/// the protocol's default, so that an upload over a link of 50 ms is not held to 10 Mbit/s.
const STREAM_WINDOW: u32 = 256 * 1024;

/// The same for all streams of a connection together, which is the most of its uploads that is ever held: a few dozen may wait for their
/// backend, and the next one still flows.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// The most of one stream's answer that waits in the codec for its client, but for the part that exceeds it.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a client has opened and reset before they were served (CVE-2023-44487, "rapid reset"); one more ends the
/// connection. The codec's default.
const PENDING_RESETS: usize = 20;

/// Streams that we had to reset for the client's errors; more end the connection (CVE-2025-8671, "made you reset"). A tenth of
/// the codec's default.
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
    let mut codec = Codec::Greeting(settings(conn.limits()).handshake(io));
    let mut finishing = false;
    let mut ended = false;
    let serving = poll_fn(|cx| {
        match conn.poll_order(cx) {
            ConnectionOrder::Abort => return Poll::Ready(()),
            ConnectionOrder::Finish if !finishing => {
                finishing = true;
                codec.finish();
            }
            ConnectionOrder::Finish | ConnectionOrder::Serve => conn.stir(),
        }
        conn.unread().poll(cx);
        if !ended {
            ended = codec.poll(conn, handler, finishing, cx).is_ready();
        }
        match flusher.poll(cx) {
            Poll::Ready(Ok(())) if ended => Poll::Ready(()),
            Poll::Ready(Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        }
    });
    serving.await;
}

fn settings(limits: &Limits) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(ERROR_RESETS))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER);
    builder
}

/// The codec of one connection. The `h2` crate itself and not hyper above it, which has no way to send early hints, and takes a
/// request's body that its client has given up for one that is whole.
enum Codec<T> {
    Greeting(Handshake<Coalesce<T>, HeldBytes>),
    Serving(Connection<Coalesce<T>, HeldBytes>),
}

impl<T: ClientStream> Codec<T> {
    /// The streams that run end, no other begins (RFC 9113, 6.8).
    fn finish(&mut self) {
        if let Self::Serving(codec) = self {
            codec.graceful_shutdown();
        }
    }

    /// Starts a task for each stream. Ready when all are done and the connection is over.
    fn poll<H: Handler>(&mut self, conn: &Rc<Conn>, handler: H, finishing: bool, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self {
                Self::Greeting(handshake) => {
                    let Ok(codec) = ready!(Pin::new(handshake).poll(cx)) else { return Poll::Ready(()) };
                    *self = Self::Serving(codec);
                    if finishing {
                        self.finish();
                    }
                }
                Self::Serving(codec) => match ready!(codec.poll_accept(cx)) {
                    Some(Ok((request, respond))) => start(conn, handler, request, respond),
                    Some(Err(_)) | None => return Poll::Ready(()),
                },
            }
        }
    }
}

fn start<H: Handler>(conn: &Rc<Conn>, handler: H, request: Request<RecvStream>, respond: SendResponse<HeldBytes>) {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let request = request.map(|stream| RequestBody::http2(stream, length, conn));
    let answer = handler.answer(conn, request);
    // Owned by its connection's worker: ends with its answer, by the client's reset, or by its connection's abort.
    tokio::task::spawn_local(AbortableStream::new(ServedStream::new(conn, respond, answer)));
}

/// The last frame, behind what the codec has written.
async fn say_goodbye(mut io: impl ClientStream, mut pending: Vec<u8>, goaway: [u8; 17]) {
    pending.extend_from_slice(&goaway);
    if let Ok(Ok(())) = tokio::time::timeout(LINGER_TIME, io.write_all(&pending)).await {
        linger(&mut io).await;
    }
}
