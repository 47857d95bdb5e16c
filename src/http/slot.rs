//! One allocation for all of a connection's exchanges: the future of the one that runs lives in a box that the next reuses.
//!
//! HTTP/1.1 runs one exchange at a time, and its codec wants a future that can be moved; boxing each anew would cost an
//! allocation of some kilobytes a request.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

type Home<F> = Rc<Cell<Option<Pin<Box<Option<F>>>>>>;

/// Where the box rests between exchanges.
pub(super) struct Slot<F>(Home<F>);

/// A future in the slot's box; gives the box back when dropped.
pub(super) struct Running<F> {
    future: Option<Pin<Box<Option<F>>>>,
    home: Home<F>,
}

impl<F> Slot<F> {
    pub fn new() -> Self {
        Self(Rc::default())
    }

    pub fn run(&self, future: F) -> Running<F> {
        let mut place = self.0.take().unwrap_or_else(|| Box::pin(None));
        place.set(Some(future));
        Running { future: Some(place), home: self.0.clone() }
    }
}

impl<F: Future> Future for Running<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.future.as_mut().and_then(|place| place.as_mut().as_pin_mut()) {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for Running<F> {
    fn drop(&mut self) {
        if let Some(mut place) = self.future.take() {
            place.set(None);
            self.home.set(Some(place));
        }
    }
}
