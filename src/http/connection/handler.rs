//! What a codec gives requests to, and gets answers from.

use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};

use super::conn::Conn;
use super::read_ahead::AnswerFrames;
use super::request_body::RequestBody;

/// What answers each request of a connection. Never fails: whatever happens is an answer.
///
/// A trait of its own and not `Fn`, whose arguments travel as a tuple: the request would be moved once more.
pub trait Handler: Copy + Unpin + 'static {
    type Body: AnswerFrames<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + 'static;

    fn answer(
        self,
        conn: &Rc<Conn>,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Self::Body>, Infallible>> + use<Self>;
}
