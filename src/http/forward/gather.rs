//! A request's body before a backend is asked: read whole if its length is announced, else passed on as it comes.
//!
//! A worker of the app that waits for a slow upload serves no one else, so it gets no byte before the last one is here. nginx:
//! `proxy_request_buffering`. What finds no room, in memory or in the spool, is passed on as it comes.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body::{Body, Frame};

use super::attempt::RequestPayload;
use crate::error::Failure;
use crate::headers::Hop;
use crate::http::connection::RequestBody;
use crate::http::exchange::{Exchange, Upload, WholeBody, is_grpc};
use crate::spool::{Fifo, WholeBytes};
use crate::upstream::BoxError;
use crate::worker::ExchangeKind;

/// Whether the body is to be here whole before a backend is asked.
pub(super) fn is_gathered(exchange: &Exchange, head: &Parts, body: &RequestBody, hop: &Hop) -> bool {
    exchange.route().buffers.requests > 0
        && body.size_hint().exact().is_some_and(|length| length > 0)
        && hop.upgrade.is_none()
        && !is_grpc(head.headers.get(header::CONTENT_TYPE))
}

/// The body as its client sends it.
pub(super) fn stream(exchange: &mut Exchange, body: RequestBody) -> RequestPayload {
    if body.is_end_stream() {
        return RequestPayload::None;
    }
    RequestPayload::Stream(upload(exchange, body))
}

/// Reads the body, bounded as any upload.
pub(super) async fn gather(exchange: &mut Exchange, body: RequestBody) -> Result<RequestPayload, Failure> {
    let in_memory = exchange.route().buffers.requests;
    let mut gathering = Gathering { upload: upload(exchange, body), kept: Kept::Nothing, trailers: None, in_memory };
    let end = {
        let exchange = &*exchange;
        let reading = poll_fn(|cx| gathering.poll(exchange, cx));
        exchange.live.unless_broken(reading).await
    };
    exchange.progress.has_waited = true;
    let failure = exchange.progress.upload.as_ref().and_then(|upload| upload.failure());
    match end {
        Err(_) => Err(Failure::DrainCut),
        Ok(End::Broken) => Err(failure.unwrap_or(Failure::BadRequest)),
        Ok(End::Whole(bytes)) => {
            exchange.live.becomes(ExchangeKind::Request);
            Ok(RequestPayload::Whole(WholeBody::new(bytes, gathering.trailers, exchange.live.handle())))
        }
        Ok(End::NoRoom(fifo)) => Ok(RequestPayload::Stream(Box::pin(Rest { fifo, upload: gathering.upload }))),
    }
}

fn upload(exchange: &mut Exchange, body: RequestBody) -> Pin<Box<Upload>> {
    let bytes: Rc<Cell<u64>> = Rc::default();
    exchange.progress.bytes_in = Some(bytes.clone());
    let (live, conn) = (exchange.live.handle(), exchange.conn().clone());
    let (upload, progress) = Upload::new(body, exchange.number, exchange.route(), bytes, live, conn);
    exchange.progress.upload = Some(progress);
    exchange.live.becomes(ExchangeKind::Upload);
    Box::pin(upload)
}

struct Gathering {
    upload: Pin<Box<Upload>>,
    kept: Kept,
    trailers: Option<HeaderMap>,
    in_memory: usize,
}

/// Most bodies come in one part.
enum Kept {
    Nothing,
    OnePart(Bytes),
    Parts(Box<Fifo>),
}

enum End {
    Whole(WholeBytes),
    /// What has come so far.
    NoRoom(Box<Fifo>),
    Broken,
}

impl Gathering {
    fn poll(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if let Kept::Parts(fifo) = &mut self.kept
                && fifo.poll_room(cx).is_pending()
            {
                if fifo.is_at_work() {
                    return Poll::Pending;
                }
                let Kept::Parts(fifo) = std::mem::replace(&mut self.kept, Kept::Nothing) else { continue };
                return Poll::Ready(End::NoRoom(fifo));
            }
            if self.upload.is_end_stream() {
                return self.poll_whole(cx).map(End::Whole);
            }
            match ready!(self.upload.as_mut().poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(part))) => self.keep(part, exchange),
                Some(Ok(Err(frame))) => self.trailers = frame.into_trailers().ok(),
                Some(Err(_)) => return Poll::Ready(End::Broken),
                None => return self.poll_whole(cx).map(End::Whole),
            }
        }
    }

    fn keep(&mut self, part: Bytes, exchange: &Exchange) {
        match &mut self.kept {
            Kept::Nothing => self.kept = Kept::OnePart(part),
            Kept::OnePart(first) => {
                let mut fifo = exchange.conn().fifo(self.in_memory);
                fifo.push(std::mem::take(first));
                fifo.push(part);
                self.kept = Kept::Parts(Box::new(fifo));
            }
            Kept::Parts(fifo) => fifo.push(part),
        }
    }

    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<WholeBytes> {
        match &mut self.kept {
            Kept::Nothing => Poll::Ready(WholeBytes::of_one_part(Bytes::new())),
            Kept::OnePart(part) => Poll::Ready(WholeBytes::of_one_part(std::mem::take(part))),
            Kept::Parts(fifo) => fifo.poll_whole(cx),
        }
    }
}

/// What has come of a body, then the rest as it comes.
struct Rest {
    fifo: Box<Fifo>,
    upload: Pin<Box<Upload>>,
}

impl Body for Rest {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match ready!(self.fifo.poll_next(cx)) {
            Ok(Some(part)) => Poll::Ready(Some(Ok(Frame::data(part)))),
            Ok(None) => self.upload.as_mut().poll_frame(cx),
            Err(lost) => Poll::Ready(Some(Err(lost.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.fifo.is_empty() && self.upload.is_end_stream()
    }
}
