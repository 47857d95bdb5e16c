//! A request's body over HTTP/2.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Frame, SizeHint};

use crate::resources::HeldAccount;

/// The body of one stream. What is taken from it, the client may send anew (RFC 9113, 5.2).
pub struct StreamedBody {
    stream: RecvStream,
    /// What is left of the Content-Length, if there is one; the codec sees that it is kept.
    left: Option<u64>,
    has_all_data: bool,
    account: Rc<HeldAccount>,
}

impl StreamedBody {
    /// `length`: its Content-Length.
    pub fn new(stream: RecvStream, length: Option<u64>, account: &Rc<HeldAccount>) -> Self {
        account.begin_upload();
        Self { stream, left: length, has_all_data: false, account: account.clone() }
    }

    /// A stream that was reset ends with an error, whatever the reason: what has come of the body is not all of it.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.has_all_data {
            if let Some(data) = ready!(self.stream.poll_data(cx)) {
                return Poll::Ready(Some(data.inspect(|data| self.took(data.len())).map(Frame::data)));
            }
            self.has_all_data = true;
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }

    fn took(&mut self, length: usize) {
        // It can't fail: no more is given back than has come.
        let _ = self.stream.flow_control().release_capacity(length);
        self.account.went(length);
        self.left = self.left.map(|left| left.saturating_sub(length as u64));
    }

    pub fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    pub fn size_hint(&self) -> SizeHint {
        match self.left {
            Some(left) => SizeHint::with_exact(left),
            None if self.is_end_stream() => SizeHint::with_exact(0),
            None => SizeHint::new(),
        }
    }
}

impl Drop for StreamedBody {
    fn drop(&mut self) {
        let left = self.stream.flow_control().used_capacity();
        self.account.end_upload(left);
    }
}
