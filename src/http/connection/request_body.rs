//! A request's body, which leaves to its connection what no one has read.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::conn::Conn;

/// A request's body. What is left of it when it is dropped stays with its connection for a while.
pub struct RequestBody {
    /// Taken by drop alone.
    body: Option<Incoming>,
    /// Over HTTP/2, where there is something to read.
    conn: Option<Rc<Conn>>,
}

impl RequestBody {
    pub fn new(body: Incoming, is_h2: bool, conn: &Rc<Conn>) -> Self {
        let lingers = is_h2 && !body.is_end_stream();
        Self { body: Some(body), conn: lingers.then(|| conn.clone()) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(body), Some(conn)) = (self.body.take(), self.conn.take())
            && !body.is_end_stream()
        {
            conn.unread().keep(body);
            conn.wake();
        }
    }
}
