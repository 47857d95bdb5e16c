//! The task of one HTTP/2 stream, which can be ended from outside.
//!
//! While a client keeps a stream's window shut, the codec asks its body for nothing, so that the body can't break off by
//! itself. Dropping the task resets the stream and leaves the connection's others alone.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::waker_slot::WakerSlot;

thread_local! {
    static RUNNING: RefCell<Option<Rc<StreamAbort>>> = const { RefCell::new(None) };
}

/// Ends the stream it belongs to.
#[derive(Debug, Default)]
pub struct StreamAbort {
    aborted: Cell<bool>,
    waker: WakerSlot,
}

impl StreamAbort {
    /// That of the stream that runs now; `None` outside of one, as in all of HTTP/1.1.
    pub fn of_running_stream() -> Option<Rc<Self>> {
        RUNNING.with_borrow(Clone::clone)
    }

    /// The task ends at its next turn, which comes at once.
    pub fn abort(&self) {
        self.aborted.set(true);
        self.waker.wake();
    }
}

pin_project! {
    /// A stream's future, until it is over or aborted.
    pub struct AbortableStream<F> {
        #[pin]
        future: Option<F>,
        abort: Rc<StreamAbort>,
    }
}

impl<F> AbortableStream<F> {
    pub fn new(future: F) -> Self {
        Self { future: Some(future), abort: Rc::default() }
    }
}

impl<F: Future<Output = ()>> Future for AbortableStream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.abort.aborted.get() {
            this.future.set(None);
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        RUNNING.set(Some(this.abort.clone()));
        let polled = future.poll(cx);
        RUNNING.set(None);
        if polled.is_pending() {
            this.abort.waker.keep(cx);
        }
        polled
    }
}
