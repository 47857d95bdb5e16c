//! A request's body, whatever it comes over; it leaves to its connection what nobody has read.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::body::StreamedBody;
use super::conn::Conn;

/// A request's body.
pub struct RequestBody(Source);

enum Source {
    None,
    Http1(Incoming),
    /// Taken by drop alone.
    Http2(Option<StreamedBody>, Rc<Conn>),
}

/// It has not come whole.
#[derive(Debug, thiserror::Error)]
#[error("request body broken off")]
pub struct BodyBroken;

impl RequestBody {
    pub(super) fn http1(body: Incoming) -> Self {
        Self(if body.is_end_stream() { Source::None } else { Source::Http1(body) })
    }

    /// `length`: its Content-Length. What is left of it when it is dropped stays with its connection for a while.
    pub(super) fn http2(stream: RecvStream, length: Option<u64>, conn: &Rc<Conn>) -> Self {
        if stream.is_end_stream() {
            return Self(Source::None);
        }
        Self(Source::Http2(Some(StreamedBody::new(stream, length, conn.held())), conn.clone()))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyBroken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyBroken>>> {
        match &mut self.0 {
            Source::Http1(body) => Pin::new(body).poll_frame(cx).map_err(|_| BodyBroken),
            Source::Http2(Some(body), _) => body.poll_frame(cx).map_err(|_| BodyBroken),
            Source::None | Source::Http2(None, _) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(body) => body.is_end_stream(),
            Source::Http2(Some(body), _) => body.is_end_stream(),
            Source::None | Source::Http2(None, _) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(body) => body.size_hint(),
            Source::Http2(Some(body), _) => body.size_hint(),
            Source::None | Source::Http2(None, _) => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Source::Http2(body, conn) = &mut self.0
            && let Some(body) = body.take()
            && !body.is_end_stream()
        {
            conn.unread().keep(body);
            conn.wake();
        }
    }
}
