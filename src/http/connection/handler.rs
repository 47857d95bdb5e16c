//! What a codec gives requests to, and gets answers from.

use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;

use super::conn::Conn;

/// What answers each request of a connection. Never fails: whatever happens is an answer.
pub trait Handler: Fn(&Rc<Conn>, Request<Incoming>) -> Self::Answering + Copy + Unpin + 'static {
    type Answering: Future<Output = Result<Response<Self::Body>, Infallible>> + 'static;
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static;
}

impl<H, F, B> Handler for H
where
    H: Fn(&Rc<Conn>, Request<Incoming>) -> F + Copy + Unpin + 'static,
    F: Future<Output = Result<Response<B>, Infallible>> + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
{
    type Answering = F;
    type Body = B;
}
