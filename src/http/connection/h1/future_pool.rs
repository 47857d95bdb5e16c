//! One allocation for many exchanges: the future of one that runs lives in a box that the next reuses.
//!
//! HTTP/1.1's codec wants a future that can be moved. Boxing each anew would cost an allocation of some kilobytes a request,
//! and a box kept by each connection would be held by every idle one: so a worker keeps those that are free.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Free boxes kept by one worker; more are given back to the allocator.
const KEPT: usize = 256;

type FutureBox<F> = Pin<Box<Option<F>>>;

/// One worker's free boxes.
pub(super) struct FuturePool<F>(RefCell<Vec<FutureBox<F>>>);

/// A future in a box of the pool; gives the box back when dropped.
pub(super) struct PooledFuture<F> {
    future: Option<FutureBox<F>>,
    pool: Rc<FuturePool<F>>,
}

impl<F> Default for FuturePool<F> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<F> FuturePool<F> {
    pub fn run(self: &Rc<Self>, future: F) -> PooledFuture<F> {
        let mut free = self.0.borrow_mut().pop().unwrap_or_else(|| Box::pin(None));
        free.set(Some(future));
        PooledFuture { future: Some(free), pool: self.clone() }
    }
}

impl<F: Future> Future for PooledFuture<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.future.as_mut().and_then(|place| place.as_mut().as_pin_mut()) {
            Some(future) => future.poll(cx),
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for PooledFuture<F> {
    fn drop(&mut self) {
        if let Some(mut used) = self.future.take() {
            used.set(None);
            let mut free = self.pool.0.borrow_mut();
            if free.len() < KEPT {
                free.push(used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_box_is_reused_once_its_future_is_dropped() {
        let pool: Rc<FuturePool<std::future::Ready<u8>>> = Rc::default();
        let first = pool.run(std::future::ready(1));
        let place = first.future.as_ref().map(|used| std::ptr::from_ref(used.as_ref().get_ref()));
        assert_eq!(first.now_or_never(), Some(1));
        let second = pool.run(std::future::ready(2));
        assert_eq!(second.future.as_ref().map(|used| std::ptr::from_ref(used.as_ref().get_ref())), place);
        assert!(pool.0.borrow().is_empty());
    }

    #[test]
    fn a_bounded_number_of_boxes_is_kept() {
        let pool: Rc<FuturePool<std::future::Ready<()>>> = Rc::default();
        drop((0..KEPT + 9).map(|_| pool.run(std::future::ready(()))).collect::<Vec<_>>());
        assert_eq!(pool.0.borrow().len(), KEPT);
    }
}
