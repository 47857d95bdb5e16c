//! The bodies of answers: our own bytes, or a backend's passed on frame by frame.
//!
//! No body is held whole: a frame is taken from the backend when the client has taken the one before.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use crate::error::Broken;
use crate::headers;
use crate::http::exchange::Exchange;
use crate::upstream::Lease;

/// What the codec sends to the client.
pub enum AnswerBody {
    Own(Own),
    Relayed(Relayed),
}

/// A body of ours; also the empty one of a tunnel's 101.
pub struct Own {
    body: Bytes,
    exchange: Option<Box<Exchange>>,
}

/// A backend's body, and what must live as long as it does.
pub struct Relayed {
    body: Incoming,
    lease: Option<Lease>,
    exchange: Box<Exchange>,
    read_timeout: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The answer broke off: the codec closes the connection or resets the stream, so that the client can tell.
#[derive(Debug, thiserror::Error)]
#[error("answer broken off: {}", .0.reason())]
pub struct BrokenOff(Broken);

impl AnswerBody {
    pub fn own(body: Bytes, mut exchange: Box<Exchange>) -> Self {
        if body.is_empty() || exchange.request.method() == http::Method::HEAD {
            exchange.outcome.complete = true;
        }
        Self::Own(Own { body, exchange: Some(exchange) })
    }

    /// The 101 whose exchange goes on in a tunnel.
    pub fn switching() -> Self {
        Self::Own(Own { body: Bytes::new(), exchange: None })
    }

    pub fn relayed(body: Incoming, lease: Lease, exchange: Box<Exchange>, read_timeout: Option<Duration>) -> Self {
        let mut relayed = Relayed { body, lease: Some(lease), exchange, read_timeout, timer: None };
        if relayed.body.is_end_stream() {
            relayed.finish();
        }
        Self::Relayed(relayed)
    }
}

impl Relayed {
    /// The backend's body has ended: its connection is free for the next exchange. The client's is not, if it still sends.
    fn finish(&mut self) {
        if self.exchange.progress.is_uploading() {
            self.exchange.conn().linger_and_close();
        }
        self.exchange.outcome.complete = true;
        self.timer = None;
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.exchange.live.client_paid();
        if let Some(why) = self.exchange.live.broken() {
            return Poll::Ready(Some(Err(self.break_off(why))));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.timer = None;
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_answer_trailers(trailers, |name| self.exchange.route().security.concerns(name));
                }
                if let Some(data) = frame.data_ref() {
                    self.exchange.progress.bytes_out += data.len() as u64;
                    if self.exchange.request.is_h2() {
                        self.exchange.conn().budget().answer(data.len());
                    }
                }
                if self.body.is_end_stream() {
                    self.finish();
                }
                // The last frame too: over HTTP/2 the codec keeps it until the client has room for it.
                if !self.exchange.outcome.complete || self.exchange.request.is_h2() {
                    self.exchange.live.client_owes(Instant::now());
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.finish();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => {
                let why = self.exchange.lost_upstream();
                Poll::Ready(Some(Err(self.break_off(why))))
            }
            Poll::Pending => {
                let why = ready!(self.poll_out_of_patience(cx));
                Poll::Ready(Some(Err(self.break_off(why))))
            }
        }
    }

    /// Ready when the backend has been silent for too long, or the sweep has ended this exchange.
    fn poll_out_of_patience(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        if let Poll::Ready(why) = self.exchange.live.poll_broken(cx) {
            return Poll::Ready(why);
        }
        let Some(limit) = self.read_timeout else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Broken::UpstreamTooSlow)
    }

    fn break_off(&mut self, why: Broken) -> BrokenOff {
        self.exchange.outcome.broke(why);
        self.lease = None;
        BrokenOff(why)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Relayed(relayed) => relayed.poll(cx),
            Self::Own(own) => {
                if let Some(exchange) = &mut own.exchange {
                    // Over HTTP/2 the codec keeps it until the client has room for it.
                    exchange.live.client_owes_for_ours(Instant::now());
                    exchange.outcome.complete = true;
                    exchange.progress.bytes_out += own.body.len() as u64;
                }
                let body = std::mem::take(&mut own.body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(own) => own.body.is_empty(),
            Self::Relayed(relayed) => relayed.lease.is_none() && relayed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(own) => SizeHint::with_exact(own.body.len() as u64),
            Self::Relayed(relayed) => relayed.body.size_hint(),
        }
    }
}
