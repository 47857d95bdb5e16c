//! A request's body on its way from the client: bounded in size and in the time between two reads. What keeps it whole: `forward::gather`.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::error::Failure;
use crate::headers;
use crate::http::connection::{Conn, RequestBody};
use crate::site::Route;
use crate::upstream::BoxError;
use crate::worker::ExchangeState;

/// The client's body, polled by the codec towards the backend. Polling it first is what sends `100 Continue`.
pub struct Upload {
    body: RequestBody,
    left: u64,
    timer: Option<Pin<Box<Sleep>>>,
    bytes: Rc<Cell<u64>>,
    /// Notes whether the exchange waits for the client or for the backend.
    live: Rc<ExchangeState>,
    progress: Rc<UploadProgress>,
    route: Arc<Route>,
    /// Where its bytes come from, and the number of its request there.
    conn: Rc<Conn>,
    request: u64,
}

/// What the exchange sees of its upload.
#[derive(Default)]
pub struct UploadProgress {
    failure: Cell<Option<Failure>>,
    begun: Cell<bool>,
    done: Cell<bool>,
}

#[derive(Debug, thiserror::Error)]
#[error("upload broken off: {0}")]
struct UploadError(&'static str);

impl Upload {
    /// The body of the connection's request of this number.
    pub fn new(
        body: RequestBody,
        request: u64,
        route: &Arc<Route>,
        bytes: Rc<Cell<u64>>,
        live: Rc<ExchangeState>,
        conn: Rc<Conn>,
    ) -> (Self, Rc<UploadProgress>) {
        let progress = Rc::new(UploadProgress::default());
        let upload = Self {
            body,
            left: route.body_size,
            timer: None,
            bytes,
            live,
            progress: progress.clone(),
            request,
            conn,
            route: route.clone(),
        };
        (upload, progress)
    }

    /// What the scan beneath the codec has found: the codec may take a broken body, and waits for all of a chunk that is too large.
    fn scanned_failure(&self) -> Option<Failure> {
        let scanned = self.conn.scanned();
        let is_too_large = || scanned.announced_in(self.request) > self.route.body_size;
        scanned.fault_in(self.request).or_else(|| is_too_large().then_some(Failure::BodyTooLarge))
    }

    fn fail(&self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.progress.failure.set(Some(failure));
        Poll::Ready(Some(Err(UploadError(failure.reason()).into())))
    }

    fn take(&mut self, mut frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.progress.begun.set(true);
        self.live.backend_owes(Instant::now());
        if let Some(data) = frame.data_ref() {
            let length = data.len() as u64;
            let Some(left) = self.left.checked_sub(length) else { return self.fail(Failure::BodyTooLarge) };
            self.left = left;
            self.bytes.set(self.bytes.get() + length);
        }
        if let Some(trailers) = frame.trailers_mut() {
            // They are the last frame.
            self.progress.done.set(true);
            headers::strip_request_trailers(trailers, |name| self.route.reads(name));
        }
        if self.body.is_end_stream() {
            self.progress.done.set(true);
        }
        Poll::Ready(Some(Ok(frame)))
    }
}

impl UploadProgress {
    /// Why the upload broke off, if the client or its limit did it.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.get()
    }

    /// Whether any of it has left for the backend.
    pub fn has_begun(&self) -> bool {
        self.begun.get()
    }

    pub fn is_done(&self) -> bool {
        self.done.get()
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(failure) = this.scanned_failure() {
            return this.fail(failure);
        }
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                this.take(frame)
            }
            Poll::Ready(Some(Err(_))) => this.fail(Failure::BadRequest),
            Poll::Ready(None) => {
                this.progress.done.set(true);
                this.live.backend_owes(Instant::now());
                Poll::Ready(None)
            }
            Poll::Pending => {
                this.live.backend_paid();
                this.conn.scanned().keep_waker(cx);
                let limit = this.route.body_timeout;
                let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
                match timer.as_mut().poll(cx) {
                    Poll::Ready(()) => this.fail(Failure::BodyTimeout),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
