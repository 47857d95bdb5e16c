//! The task of one HTTP/2 stream, which can be ended from outside.
//!
//! While a client keeps a stream's window shut, the codec asks its body for nothing, so that the body can't break off by
//! itself. Dropping the task resets the stream and leaves the connection's others alone.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

thread_local! {
    static RUNNING: RefCell<Option<Rc<Scissors>>> = const { RefCell::new(None) };
}

/// Ends the stream it belongs to.
#[derive(Debug, Default)]
pub struct Scissors {
    cut: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Scissors {
    /// Those of the stream that runs now; `None` outside of one, as in all of HTTP/1.1.
    pub fn of_running_stream() -> Option<Rc<Self>> {
        RUNNING.with_borrow(Clone::clone)
    }

    /// The task ends at its next turn, which comes at once.
    pub fn cut(&self) {
        self.cut.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

pin_project! {
    /// A stream's future, until it is over or cut.
    pub(super) struct Stream<F> {
        #[pin]
        future: Option<F>,
        scissors: Rc<Scissors>,
    }
}

impl<F> Stream<F> {
    pub fn new(future: F) -> Self {
        Self { future: Some(future), scissors: Rc::default() }
    }
}

impl<F: Future<Output = ()>> Future for Stream<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.scissors.cut.get() {
            this.future.set(None);
        }
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Ready(()) };
        RUNNING.set(Some(this.scissors.clone()));
        let polled = future.poll(cx);
        RUNNING.set(None);
        let mut waker = this.scissors.waker.borrow_mut();
        if polled.is_pending() && !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        polled
    }
}
