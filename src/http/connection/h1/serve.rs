//! HTTP/1.1 to its end: served, told to finish, taken over, or closed so that the last answer still arrives.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::future_pool::FuturePool;
use super::head_watch::HeadWatch;
use crate::http::connection::conn::Conn;
use crate::http::connection::handler::Handler;
use crate::http::connection::request_body::RequestBody;
use crate::http::connection::stream::{ClientStream, LINGER_TIME, linger};
use crate::worker::ConnectionOrder;

/// The codec's read buffer has room for a head of `header_size` and what comes in with its last bytes, and for this at least:
/// a larger buffer reads an upload in fewer calls.
const READ_BUFFER: usize = 64 * 1024;
const BEHIND_HEAD: usize = 1024;

pub async fn serve<T: ClientStream + 'static, H: Handler>(conn: Rc<Conn>, io: T, handler: H) {
    let limits = conn.limits();
    let service = {
        let (conn, pool) = (conn.clone(), conn.worker().kept::<FuturePool<_>>());
        service_fn(move |request: Request<Incoming>| pool.run(handler.answer(&conn, request.map(RequestBody::http1))))
    };
    let watched = TokioIo::new(HeadWatch::new(io, conn.clone()));
    let mut codec = http1::Builder::new()
        .max_headers(limits.headers)
        .max_header_size(limits.header_size)
        .max_buf_size((limits.header_size + BEHIND_HEAD).max(READ_BUFFER))
        .serve_connection(watched, service);
    let mut finishing = false;
    let ended = poll_fn(|cx| {
        match conn.poll_order(cx) {
            ConnectionOrder::Abort => return Poll::Ready(false),
            // A codec that has read nothing would close at once; the first answer's `Connection: close` ends it instead.
            ConnectionOrder::Finish if !finishing && !conn.is_fresh() => {
                finishing = true;
                Pin::new(&mut codec).graceful_shutdown();
            }
            ConnectionOrder::Finish | ConnectionOrder::Serve => {}
        }
        let ended = codec.poll_without_shutdown(cx).map(|result| result.is_ok());
        if ended.is_pending() {
            conn.sent().read_ahead(cx);
        }
        ended
    })
    .await;
    let parts = codec.into_parts();
    // Boxed: what few connections come to must not make all of them larger.
    Box::pin(part(&conn, parts.io.into_inner(), parts.read_buf, ended)).await;
}

/// The end of the connection, or what takes it over.
async fn part<T: ClientStream>(conn: &Conn, mut io: HeadWatch<T>, read: Bytes, ended: bool) {
    if let Some(takeover) = conn.takeover() {
        if ended {
            let (mut io, behind) = io.into_parts();
            takeover.run(&mut io, joined(read, behind)).await;
        }
    } else if conn.lingers() {
        linger(&mut io).await;
    } else if ended {
        let _ = tokio::time::timeout(LINGER_TIME, io.shutdown()).await;
    }
}

/// What the codec has read and not used, and what it would have read next.
fn joined(read: Bytes, behind: Vec<u8>) -> Bytes {
    if behind.is_empty() { read } else { [&*read, &*behind].concat().into() }
}
