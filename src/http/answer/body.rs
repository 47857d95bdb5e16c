//! The bodies of answers: our own bytes, or a backend's, passed on frame by frame or read ahead of the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::ahead::Ahead;
use super::relayed::{BrokenOff, Relayed};
use crate::http::connection::{AnswerFrames, ReadAhead};
use crate::http::exchange::Exchange;
use crate::upstream::Lease;

/// What the codec sends to the client.
pub enum AnswerBody {
    Own(Own),
    /// A frame is taken from the backend when the client has taken the one before.
    Relayed(Relayed),
    /// What the client does not take yet is kept.
    Ahead(Rc<Ahead>),
}

/// A body of ours; also the empty one of a tunnel's 101.
pub struct Own {
    body: Bytes,
    exchange: Option<Box<Exchange>>,
}

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

    /// `kept`: how much of what the client does not take is kept in memory; 0: the backend waits for the client.
    pub fn relayed(body: Incoming, lease: Lease, exchange: Box<Exchange>, kept: usize) -> Self {
        Self::Relayed(Relayed::new(body, lease, exchange, kept))
    }

    /// There is more than one frame, so that the client may be slower than the backend. Most answers have one.
    fn keep_ahead(&mut self) {
        if let Self::Relayed(relayed) = self
            && relayed.is_kept_ahead()
        {
            let Self::Relayed(relayed) = std::mem::replace(self, Self::switching()) else { return };
            let conn = relayed.exchange().conn().clone();
            let ahead = Rc::new(Ahead::new(relayed));
            if !ahead.is_h2() {
                let reader: Rc<dyn ReadAhead> = ahead.clone();
                conn.read_ahead_by(Rc::downgrade(&reader));
            }
            *self = Self::Ahead(ahead);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut *self {
            Self::Relayed(relayed) => {
                let frame = relayed.poll_passed_on(cx);
                if let Poll::Ready(Some(Ok(_))) = frame {
                    self.keep_ahead();
                }
                frame
            }
            Self::Ahead(ahead) => ahead.poll_frame(cx),
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
            Self::Relayed(relayed) => relayed.is_at_end(),
            Self::Ahead(ahead) => ahead.is_at_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(own) => SizeHint::with_exact(own.body.len() as u64),
            Self::Relayed(relayed) => relayed.size_hint(),
            // The codec has asked before the first frame.
            Self::Ahead(_) => SizeHint::default(),
        }
    }
}

impl AnswerFrames for AnswerBody {
    fn read_ahead(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        // Of many answers on one connection, some may wait before their first frame.
        self.keep_ahead();
        if let Self::Ahead(ahead) = &*self {
            ahead.read_ahead(cx);
        }
    }
}
