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

/// How much of a body is kept until its answer has begun: what an HTTP/2 backend takes without having said anything (64 KiB), and a
/// few parts that the codec has taken beyond that.
const KEPT: usize = 128 * 1024;

/// While a body is kept, the codec gets parts of this size: a part that the client has sent may be larger than what is kept.
const PART: usize = 16 * 1024;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the client sends, on its way.
pub type ClientBody = Pin<Box<dyn Body<Data = Bytes, Error = BoxError>>>;

/// The body, and what has been taken of it.
struct Source {
    body: ClientBody,
    /// Everything that was taken so far, in order; given up once it is more than [`KEPT`].
    kept: Option<VecDeque<Bytes>>,
    /// What has come from the client and was not taken yet.
    ahead: Option<Bytes>,
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
        Self(Rc::new(RefCell::new(Source { body, kept: Some(VecDeque::new()), ahead: None, reader: 0 })))
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
    /// The next part that no try has taken yet.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.ahead.take() {
            Some(data) => Frame::data(data),
            None => match std::task::ready!(self.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            },
        };
        let frame = match frame.into_data() {
            Ok(mut data) if self.kept.is_some() && data.len() > PART => {
                let part = data.split_to(PART);
                self.ahead = Some(data);
                Frame::data(part)
            }
            Ok(data) => Frame::data(data),
            Err(other) => other,
        };
        self.keep(&frame);
        Poll::Ready(Some(Ok(frame)))
    }

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
        source.poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        let source = self.source.borrow();
        self.again.is_empty() && source.ahead.is_none() && source.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let source = self.source.borrow();
        let here = self.again.iter().chain(&source.ahead).map(|data| data.len() as u64).sum::<u64>();
        let rest = source.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + here);
        }
        hint.set_lower(rest.lower() + here);
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
    fn a_body_that_comes_in_one_part_is_taken_in_small_ones_until_too_much_has_gone() {
        let size = 10 * KEPT;
        let replay = replay(size);
        drop(replay.next_try().unwrap());
        let mut first = replay.next_try().unwrap();
        let taken = (0..5).map(|_| part(&mut first).unwrap().unwrap()).sum::<usize>();
        assert_eq!(taken, 5 * PART);
        let mut second = replay.next_try().unwrap();
        assert_eq!(second.size_hint().exact(), Some(size as u64), "all of it is still here");
        let mut taken = 0;
        while let Some(part) = part(&mut second) {
            taken += part.unwrap();
            assert_eq!(second.size_hint().exact(), Some((size - taken) as u64));
            assert_eq!(replay.is_whole(), taken <= KEPT, "after {taken} bytes");
        }
        assert_eq!((taken, second.is_end_stream()), (size, true));
        assert!(replay.next_try().is_none(), "too much has gone");
    }
}
