//! What is left of a request's body when its answer is complete.
//!
//! Dropped, it would reset its stream at once, and a client that reads the reset together with the answer may lose the answer
//! (curl before 7.89 does). So it is read on for a bounded while, as HTTP/1.1 lingers; then the stream is reset without an error
//! (RFC 9113, 8.1).

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Sleep;

use super::StreamedBody;
use crate::http::connection::stream::{LINGER_BYTES, LINGER_TIME};

/// The bodies of one connection that no one reads.
#[derive(Default)]
pub struct Unread(RefCell<Vec<Lingering>>);

struct Lingering {
    body: StreamedBody,
    left: u64,
    timer: Pin<Box<Sleep>>,
}

impl Unread {
    pub fn keep(&self, body: StreamedBody) {
        let timer = Box::pin(tokio::time::sleep(LINGER_TIME));
        self.0.borrow_mut().push(Lingering { body, left: LINGER_BYTES, timer });
    }

    /// Reads what has come. To be called in each turn of the connection's task, which is woken when there is more.
    pub fn poll(&self, cx: &mut Context<'_>) {
        let mut all = self.0.borrow_mut();
        if !all.is_empty() {
            all.retain_mut(|lingering| lingering.poll(cx).is_pending());
        }
    }
}

impl Lingering {
    /// Ready once its stream may be reset.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(frame) = self.body.poll_frame(cx) {
            let Some(Ok(frame)) = frame else { return Poll::Ready(()) };
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(left) = self.left.checked_sub(length) else { return Poll::Ready(()) };
            self.left = left;
        }
        self.timer.as_mut().poll(cx)
    }
}
