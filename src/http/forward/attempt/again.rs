//! A request once more: its head without what we have added, its body while all of it is here.

use std::rc::Rc;

use http::request::Parts;
use http::{HeaderMap, Request};

use crate::error::Failure;
use crate::http::exchange::{Exchange, WholeBody};
use crate::http::forward::head::prepare;
use crate::upstream::{ClientBody, Outgoing, Replay};

/// A request's body as it is before the first try.
pub(in crate::http::forward) enum RequestPayload {
    None,
    /// It comes as fast as its client sends it.
    Stream(ClientBody),
    /// It is here.
    Whole(Rc<WholeBody>),
}

/// What is needed to send a request again that may have been processed: the client's own fields.
pub(in crate::http::forward) struct Spare(pub HeaderMap);

/// A request as it was before it was given the form of a connection, and its body while all of that is still there.
pub(super) struct Refusable {
    head: Parts,
    body: RefusableBody,
}

enum RefusableBody {
    None,
    Stream(Replay),
    Whole(Rc<WholeBody>),
}

impl RequestPayload {
    /// All of it, to be sent as often as it takes; `None`: it can be sent once.
    pub fn whole(&self) -> Option<Rc<WholeBody>> {
        match self {
            Self::None | Self::Stream(_) => None,
            Self::Whole(whole) => Some(whole.clone()),
        }
    }

    pub fn into_outgoing(self) -> Outgoing {
        match self {
            Self::None => Outgoing::Empty,
            Self::Stream(body) => Outgoing::Stream(body),
            Self::Whole(whole) => Outgoing::Stream(whole.upload()),
        }
    }
}

impl Spare {
    pub fn request(&self, exchange: &mut Exchange, whole: Option<&WholeBody>) -> Result<Request<Outgoing>, Failure> {
        let body = whole.map_or(Outgoing::Empty, |whole| Outgoing::Stream(whole.upload()));
        let mut request = Request::new(body);
        *request.method_mut() = exchange.request.method().clone();
        *request.uri_mut() = exchange.request.uri.clone();
        *request.version_mut() = exchange.request.version();
        *request.headers_mut() = self.0.clone();
        let (mut head, body) = request.into_parts();
        prepare(exchange, &mut head)?;
        Ok(Request::from_parts(head, body))
    }
}

impl Refusable {
    /// An HTTP/2 backend may refuse a stream and leave it to us to send it again (RFC 9113, 8.7), so what is sent is kept for that.
    pub fn keep(request: Request<Outgoing>, whole: Option<&Rc<WholeBody>>) -> (Request<Outgoing>, Box<Self>) {
        let (head, body) = request.into_parts();
        let (body, kept) = match (body, whole) {
            (Outgoing::Empty, _) => (Outgoing::Empty, RefusableBody::None),
            (body, Some(whole)) => (body, RefusableBody::Whole(whole.clone())),
            (Outgoing::Stream(body), None) => {
                let replay = Replay::new(body);
                let first = replay.next_try().map_or(Outgoing::Empty, |body| Outgoing::Stream(Box::pin(body)));
                (first, RefusableBody::Stream(replay))
            }
        };
        let refusable = Box::new(Self { head: head.clone(), body: kept });
        (Request::from_parts(head, body), refusable)
    }

    pub fn is_whole(&self) -> bool {
        match &self.body {
            RefusableBody::None | RefusableBody::Whole(_) => true,
            RefusableBody::Stream(replay) => replay.is_whole(),
        }
    }

    /// The whole request once more; `None`: too much of its body has gone.
    pub fn request(&self) -> Option<Request<Outgoing>> {
        let body = match &self.body {
            RefusableBody::None => Outgoing::Empty,
            RefusableBody::Stream(replay) => Outgoing::Stream(Box::pin(replay.next_try()?)),
            RefusableBody::Whole(whole) => Outgoing::Stream(whole.upload()),
        };
        Some(Request::from_parts(self.head.clone(), body))
    }
}
