//! Bodies of a bounded time: of a request, until it has come; of an answer, the mark that its request runs.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use super::places::Busy;

/// How long the whole body of a request may take.
const LONGEST: Duration = Duration::from_secs(10);

/// A request's body. It is an error when its time is over.
pub(super) struct TimedBody {
    inner: Incoming,
    limit: Pin<Box<Sleep>>,
}

impl TimedBody {
    pub(super) fn new(inner: Incoming) -> Self {
        Self { inner, limit: Box::pin(sleep(LONGEST)) }
    }
}

impl http_body::Body for TimedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.limit.as_mut().poll(cx).map(|()| Some(Err(format!("it did not come within {LONGEST:?}").into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body.
pub(super) struct MarkedBody {
    inner: Body,
    _busy: Busy,
}

impl MarkedBody {
    pub(super) fn new(inner: Body, busy: Busy) -> Self {
        Self { inner, _busy: busy }
    }
}

impl http_body::Body for MarkedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
