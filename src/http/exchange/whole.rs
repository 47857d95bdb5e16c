//! A request's body that is here whole, on its way to a backend as often as it takes.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::spool::{WholeBytes, WholeReader};
use crate::upstream::{BoxError, ClientBody};
use crate::worker::ExchangeState;

/// All of a request's body, and its trailers.
pub struct WholeBody {
    bytes: Rc<WholeBytes>,
    trailers: Option<HeaderMap>,
    /// Notes when the backend takes a part.
    live: Rc<ExchangeState>,
}

/// The body of one try.
struct WholeUpload {
    reader: WholeReader,
    trailers: Option<HeaderMap>,
    live: Rc<ExchangeState>,
}

impl WholeBody {
    pub fn new(bytes: WholeBytes, trailers: Option<HeaderMap>, live: Rc<ExchangeState>) -> Rc<Self> {
        Rc::new(Self { bytes: Rc::new(bytes), trailers, live })
    }

    /// The body once more, from its beginning.
    pub fn upload(&self) -> ClientBody {
        Box::pin(WholeUpload { reader: self.bytes.reader(), trailers: self.trailers.clone(), live: self.live.clone() })
    }
}

impl Body for WholeUpload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match ready!(self.reader.poll_next(cx)) {
            Ok(Some(part)) => {
                self.live.backend_owes(Instant::now());
                Some(Ok(Frame::data(part)))
            }
            Ok(None) => self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            Err(lost) => Some(Err(lost.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.reader.left() == 0 && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.reader.left())
    }
}
