//! A request's body that can be sent a second time, as long as little of it has gone.
//!
//! For HTTP/2, where a backend may refuse a stream whose body has begun, and says that it has processed nothing of it
//! (RFC 9113, 8.7).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How much of a body is kept until its answer has begun: what an HTTP/2 backend takes without having said anything (64 KiB), and what
/// the codec has read beyond that.
const KEPT: usize = 128 * 1024;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the client sends, on its way.
pub type ClientBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError>>>;

/// The body, and what has been taken of it.
struct Source {
    body: ClientBody,
    /// Everything that was taken so far, in order; given up once it is more than [`KEPT`].
    kept: Option<VecDeque<Bytes>>,
    /// Which reader may read: that of the latest try.
    reader: u32,
}

/// Makes bodies for one try after another.
pub struct Replay(Rc<RefCell<Source>>);

/// The body of one try.
pub struct Replayed {
    source: Rc<RefCell<Source>>,
    reader: u32,
    /// What is read again first.
    again: VecDeque<Bytes>,
}

#[derive(Debug, thiserror::Error)]
#[error("another try has taken the body over")]
struct TakenOver;

impl Replay {
    pub fn new(body: ClientBody) -> Self {
        Self(Rc::new(RefCell::new(Source { body, kept: Some(VecDeque::new()), reader: 0 })))
    }

    /// Whether all of it is still here.
    pub fn is_whole(&self) -> bool {
        self.0.borrow().kept.is_some()
    }

    /// The whole body for the next try; what was made for the last one ends with an error. `None`: too much of it has gone.
    pub fn next_try(&self) -> Option<Replayed> {
        let mut source = self.0.borrow_mut();
        let again = source.kept.clone()?;
        source.reader += 1;
        Some(Replayed { source: self.0.clone(), reader: source.reader, again })
    }
}

impl Source {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(kept) = &mut self.kept else { return };
        match frame.data_ref() {
            Some(data) if kept.iter().map(Bytes::len).sum::<usize>() + data.len() <= KEPT => {
                kept.push_back(data.clone());
            }
            // Trailers end a body; with them it is not worth keeping.
            _ => self.kept = None,
        }
    }
}

impl Body for Replayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let mut source = this.source.borrow_mut();
        if source.reader != this.reader {
            return Poll::Ready(Some(Err(TakenOver.into())));
        }
        if let Some(data) = this.again.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let polled = source.body.as_mut().poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            source.keep(frame);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.again.is_empty() && self.source.borrow().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let again = self.again.iter().map(|data| data.len() as u64).sum::<u64>();
        let rest = self.source.borrow().body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + again);
        }
        hint.set_lower(rest.lower() + again);
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body_util::{BodyExt, Full};

    use super::*;

    fn replay(size: usize) -> Replay {
        let body = Full::new(Bytes::from(vec![b'x'; size])).map_err(|never| match never {});
        Replay::new(Box::pin(body))
    }

    /// The next part of a body; an error is the string.
    fn part(body: &mut Replayed) -> Option<Result<usize, String>> {
        let Poll::Ready(frame) = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) else {
            return None;
        };
        frame.map(|frame| frame.map(|frame| frame.data_ref().unwrap().len()).map_err(|error| error.to_string()))
    }

    #[test]
    fn a_small_body_is_sent_again_from_its_start_and_the_first_try_gets_no_more_of_it() {
        let replay = replay(100);
        let mut first = replay.next_try().unwrap();
        assert_eq!(first.size_hint().exact(), Some(100));
        assert_eq!(part(&mut first), Some(Ok(100)));
        assert!(first.is_end_stream());
        let mut second = replay.next_try().unwrap();
        assert_eq!((second.size_hint().exact(), second.is_end_stream()), (Some(100), false));
        assert_eq!(part(&mut first), Some(Err(TakenOver.to_string())));
        assert_eq!(part(&mut second), Some(Ok(100)));
        assert!(second.is_end_stream());
    }

    #[test]
    fn a_body_that_has_not_begun_is_sent_again_whatever_its_size() {
        let replay = replay(KEPT + 1);
        drop(replay.next_try().unwrap());
        let mut second = replay.next_try().unwrap();
        assert_eq!(part(&mut second), Some(Ok(KEPT + 1)));
        assert!(replay.next_try().is_none(), "too much has gone");
    }
}
