//! A backend's body on its way to the client.

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
use crate::site::RouteAction;
use crate::upstream::Lease;

/// A backend's body, and what must live as long as it does.
pub struct Relayed {
    body: Incoming,
    lease: Option<Lease>,
    exchange: Box<Exchange>,
    timer: Option<Pin<Box<Sleep>>>,
    kept: usize,
}

/// The answer broke off: the codec closes the connection or resets the stream, so that the client can tell.
#[derive(Debug, thiserror::Error)]
#[error("answer broken off: {}", .0.reason())]
pub struct BrokenOff(pub(super) Broken);

impl Relayed {
    pub(super) fn new(body: Incoming, lease: Lease, exchange: Box<Exchange>, kept: usize) -> Self {
        let mut relayed = Self { body, lease: Some(lease), exchange, timer: None, kept };
        if relayed.body.is_end_stream() {
            relayed.release();
            relayed.complete();
        }
        relayed
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// How much of it is kept in memory ahead of the client.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Whether more is to come, and may be kept.
    pub(super) fn is_kept_ahead(&self) -> bool {
        self.kept > 0 && self.lease.is_some()
    }

    /// Whether the backend has given all of it.
    pub(super) fn has_ended(&self) -> bool {
        self.lease.is_none()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.lease.is_none() && self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// The next frame, for a client that has taken the one before.
    pub(super) fn poll_passed_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.exchange.live.client_paid();
        let frame = ready!(self.poll_backend(cx));
        if self.lease.is_none() && self.exchange.outcome.error().is_none() {
            self.complete();
        }
        if let Some(Ok(frame)) = &frame {
            self.gave(frame);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(|why| self.break_off(why))))
    }

    /// The next frame of the backend's. With the last one its connection is free.
    pub(super) fn poll_backend(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some(why) = self.exchange.live.broken() {
            return Poll::Ready(Some(Err(why)));
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                self.timer = None;
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_answer_trailers(trailers, |name| self.exchange.route().security.concerns(name));
                }
                if self.body.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(self.exchange.lost_upstream()))),
            Poll::Pending => self.poll_out_of_patience(cx).map(|why| Some(Err(why))),
        }
    }

    /// The backend's body has ended: its connection is free for the next exchange. The client's is not, if it still sends.
    fn release(&mut self) {
        if self.exchange.progress.is_uploading() {
            self.exchange.conn().linger_and_close();
        }
        self.timer = None;
        if let Some(lease) = self.lease.take() {
            lease.release();
        }
    }

    /// All of it is the codec's.
    pub(super) fn complete(&mut self) {
        self.exchange.outcome.complete = true;
    }

    /// The backend has done its part, and its client has not: the exchange is no longer the backend's, nor its pool's.
    pub(super) fn leave_backend(&mut self) {
        if let Some(in_flight) = &mut self.exchange.progress.in_flight {
            in_flight.leave();
            self.exchange.live.leave();
        }
    }

    /// A frame is the codec's.
    pub(super) fn gave(&mut self, frame: &Frame<Bytes>) {
        let is_h2 = self.exchange.request.is_h2();
        if let Some(data) = frame.data_ref() {
            self.exchange.progress.bytes_out += data.len() as u64;
            if is_h2 {
                self.exchange.conn().budget().answer(data.len());
            }
        }
        // The last frame too: over HTTP/2 the codec keeps it until the client has room for it.
        if !self.exchange.outcome.complete || is_h2 {
            self.exchange.live.client_owes(Instant::now());
        }
    }

    /// Ready when the backend has been silent for too long, or the sweep has ended this exchange.
    fn poll_out_of_patience(&mut self, cx: &mut Context<'_>) -> Poll<Broken> {
        if let Poll::Ready(why) = self.exchange.live.poll_broken(cx) {
            return Poll::Ready(why);
        }
        let Some(limit) = read_timeout(&self.exchange) else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Broken::UpstreamTooSlow)
    }

    /// The backend is not asked for more: its time stands still.
    pub(super) fn rests(&mut self) {
        self.timer = None;
    }

    pub(super) fn break_off(&mut self, why: Broken) -> BrokenOff {
        self.exchange.outcome.broke(why);
        self.lease = None;
        BrokenOff(why)
    }
}

fn read_timeout(exchange: &Exchange) -> Option<Duration> {
    match &exchange.route().action {
        RouteAction::Service(target) => target.settings.read_timeout,
        RouteAction::Redirect { .. } | RouteAction::Respond { .. } => None,
    }
}
