//! One allocation for many exchanges: the future of one that runs lives in a box that the next reuses.
//!
//! HTTP/1.1's codec wants a future that can be moved. Boxing each anew would cost an allocation of some kilobytes a request,
//! and a box kept by each connection would be held by every idle one: so a core keeps those that are free.

use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Free boxes kept by one core; more are given back to the allocator.
const KEPT: usize = 256;

type Place<F> = Pin<Box<Option<F>>>;

/// Where a core's free boxes rest. All of one type: that of the service's future.
#[derive(Default)]
pub(super) struct Shelf(RefCell<Option<Rc<dyn Any>>>);

/// One connection's way to the shelf.
pub(super) struct Slot<F>(Rc<RefCell<Vec<Place<F>>>>);

/// A future in a box from the shelf; gives the box back when dropped.
pub(super) struct Running<F> {
    future: Option<Place<F>>,
    home: Rc<RefCell<Vec<Place<F>>>>,
}

impl<F: 'static> Slot<F> {
    pub fn on(shelf: &Shelf) -> Self {
        let mut shelf = shelf.0.borrow_mut();
        if let Some(known) = shelf.as_ref().and_then(|home| home.clone().downcast().ok()) {
            return Self(known);
        }
        let home = Rc::new(RefCell::new(Vec::new()));
        *shelf = Some(home.clone());
        Self(home)
    }

    pub fn run(&self, future: F) -> Running<F> {
        let mut place = self.0.borrow_mut().pop().unwrap_or_else(|| Box::pin(None));
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
            let mut home = self.home.borrow_mut();
            if home.len() < KEPT {
                home.push(place);
            }
        }
    }
}
