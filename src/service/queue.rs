//! A queue of tasks that wait for their turn, first come first served.
//!
//! Generic: it does not know what is waited for. Code that makes room wakes the first. A waiter that is woken and goes away,
//! or can't use its turn, hands the turn to the next. Shared by all workers; only waiters, and code that finds some, take its
//! lock.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::types::keep_waker;

/// The queue itself. Clones are the same queue.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    line: Arc<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Places there are, woken or not.
    len: AtomicUsize,
    places: Mutex<Places>,
}

/// The waiters by number: the lowest has waited longest.
#[derive(Debug, Default)]
struct Places {
    next: u64,
    waiting: BTreeMap<u64, Option<Waker>>,
}

/// As many wait as the bound allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full;

/// A place in the queue: ready when it is woken. Leaves by drop, and hands on a turn that it has not used.
#[derive(Debug)]
pub struct Place {
    line: Arc<Line>,
    number: u64,
    /// The turn was used: there is nothing to hand on.
    used: bool,
}

impl Queue {
    /// A place at the end, unless `bound` are queued already.
    ///
    /// Room that was made before this returns has woken no one: look once more afterwards, and wake the first if there is room.
    pub fn join(&self, bound: usize) -> Result<Place, Full> {
        let mut places = self.line.places.lock();
        if self.line.len.load(Ordering::SeqCst) >= bound {
            return Err(Full);
        }
        self.line.len.fetch_add(1, Ordering::SeqCst);
        let number = places.next;
        places.next += 1;
        places.waiting.insert(number, None);
        Ok(Place { line: self.line.clone(), number, used: false })
    }

    /// Wakes the first waiter; answers whether there was one.
    pub fn wake_one(&self) -> bool {
        self.line.wake_from(0)
    }

    /// How many are queued: those that wait, and those that were woken and have not used their turn yet. A request that finds
    /// it empty overtakes no other.
    pub fn len(&self) -> usize {
        self.line.len.load(Ordering::SeqCst)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Place {
    /// The turn was used: leaves the queue without handing it on.
    pub fn done(mut self) {
        self.used = true;
    }

    /// The turn can't be used by this one: back to its place, and the next behind it is woken instead.
    ///
    /// Room that was made meanwhile may have woken no one: look once more afterwards.
    pub fn pass(&mut self) {
        self.line.places.lock().waiting.entry(self.number).or_default();
        self.line.wake_from(self.number + 1);
    }
}

impl Future for Place {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut places = self.line.places.lock();
        let Some(waker) = places.waiting.get_mut(&self.number) else { return Poll::Ready(()) };
        keep_waker(waker, cx);
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let was_waiting = self.line.places.lock().waiting.remove(&self.number).is_some();
        self.line.len.fetch_sub(1, Ordering::SeqCst);
        if !was_waiting && !self.used {
            self.line.wake_from(0);
        }
    }
}

impl Line {
    fn wake_from(&self, number: u64) -> bool {
        let woken = {
            let mut places = self.places.lock();
            let Some((&first, _)) = places.waiting.range(number..).next() else { return false };
            places.waiting.remove(&first)
        };
        if let Some(waker) = woken.flatten() {
            waker.wake();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use futures_util::FutureExt;

    use super::*;

    fn is_woken(ticket: &mut Place) -> bool {
        ticket.now_or_never().is_some()
    }

    #[test]
    fn the_first_to_come_is_the_first_to_be_woken() {
        let queue = Queue::default();
        let mut all: Vec<Place> = (0..3).map(|_| queue.join(3).unwrap()).collect();
        assert_eq!(queue.join(3).unwrap_err(), Full);
        assert!(!all.iter_mut().any(is_woken));
        for woken in 1..=3 {
            assert!(queue.wake_one());
            assert_eq!(all.iter_mut().filter_map(FutureExt::now_or_never).count(), woken);
            assert!(is_woken(&mut all[woken - 1]));
        }
        assert!(!queue.wake_one(), "no one waits");
        assert_eq!(queue.len(), 3, "but none has used its turn");
        all.into_iter().for_each(Place::done);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_turn_that_is_not_used_goes_to_the_next() {
        let queue = Queue::default();
        let [first, mut second, mut third] = [(); 3].map(|()| queue.join(9).unwrap());
        queue.wake_one();
        drop(first);
        assert!(is_woken(&mut second) && !is_woken(&mut third));
        second.pass();
        assert!(!is_woken(&mut second) && is_woken(&mut third));
        queue.wake_one();
        assert!(is_woken(&mut second), "it has kept its place");
        drop(third);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_turn_that_was_used_wakes_no_one() {
        let queue = Queue::default();
        let [first, mut second] = [(); 2].map(|()| queue.join(9).unwrap());
        queue.wake_one();
        first.done();
        assert!(!is_woken(&mut second));
    }

    #[test]
    fn a_waiter_that_leaves_before_it_is_woken_hands_nothing_on() {
        let queue = Queue::default();
        let [first, mut second] = [(); 2].map(|()| queue.join(9).unwrap());
        drop(first);
        assert!(!is_woken(&mut second));
        queue.wake_one();
        second.done();
        assert!(queue.is_empty());
    }

    /// Slots as a backend has them, and a queue before them.
    struct Slots {
        free: AtomicUsize,
        queue: Queue,
    }

    impl Slots {
        fn take(&self) -> bool {
            let less = |free: usize| free.checked_sub(1);
            self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
        }

        fn put(&self) {
            self.free.fetch_add(1, Ordering::SeqCst);
            if !self.queue.is_empty() {
                self.queue.wake_one();
            }
        }

        async fn wait(&self) {
            let mut ticket = self.queue.join(usize::MAX).unwrap();
            if self.free.load(Ordering::SeqCst) > 0 {
                self.queue.wake_one();
            }
            loop {
                (&mut ticket).await;
                if self.take() {
                    break;
                }
                ticket.pass();
                if self.take() {
                    break;
                }
            }
            ticket.done();
            if self.free.load(Ordering::SeqCst) > 0 {
                self.queue.wake_one();
            }
        }
    }

    /// Threads take slots, hold them for a moment or give up waiting: none waits for ever, none gets what is not there.
    #[test]
    fn no_wake_up_is_lost_under_stress() {
        const THREADS: usize = 8;
        let slots = Slots { free: AtomicUsize::new(2), queue: Queue::default() };
        let (inside, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let begun = Instant::now();
        let served: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                        let mut served = 0;
                        while begun.elapsed() < Duration::from_secs(2) {
                            let gives_up = fastrand::u8(..10) == 0;
                            let patience = if gives_up { Duration::ZERO } else { Duration::from_secs(10) };
                            let got = (slots.queue.is_empty() && slots.take())
                                || runtime
                                    .block_on(async { tokio::time::timeout(patience, slots.wait()).await.is_ok() });
                            if !got {
                                assert!(
                                    gives_up,
                                    "waited in vain: {} free, {} wait",
                                    slots.free.load(Ordering::SeqCst),
                                    slots.queue.len()
                                );
                                continue;
                            }
                            over.fetch_or(inside.fetch_add(1, Ordering::SeqCst) >= 2, Ordering::SeqCst);
                            for _ in 0..fastrand::u8(..3) {
                                std::thread::yield_now();
                            }
                            inside.fetch_sub(1, Ordering::SeqCst);
                            slots.put();
                            served += 1;
                        }
                        served
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert!(!over.load(Ordering::SeqCst), "more inside than there were slots");
        assert!(served > 1000, "{served}");
        assert_eq!((slots.free.load(Ordering::SeqCst), slots.queue.len()), (2, 0));
    }
}
