//! The bytes that are held for clients that do not take them yet, and for backends that do not: `[limits] buffer_memory`.
//!
//! Over HTTP/2 each connection may always hold a little; what it holds beyond that, and what bodies are kept ahead of their reader
//! ([`crate::spool`]), comes from this budget. The more one holds, the more it leaves to the others. What may hold no more is not
//! read, on either side, until some of it is taken.

use std::cell::{Cell, RefCell};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use parking_lot::Mutex;

/// What every connection may hold, of answers and of uploads, whatever the others hold: enough to keep its socket busy.
pub const HELD_ALWAYS: usize = 64 * 1024;

/// What one connection may hold of answers, whatever the others leave: with 128 streams, as much for each as its codec keeps. Of uploads
/// its window says it.
const HELD_AT_MOST: usize = 8 << 20;

/// So much is read at once of a backend's answer: 64 KiB of its body, and a head in front of it. Larger reads save nothing that can be
/// measured.
pub const LARGEST_PART: usize = 72 * 1024;

/// The budget is taken and given back in steps of this, so that few parts of an answer touch what the workers share, and none takes
/// more than was free.
const STEP: usize = LARGEST_PART;

/// The part of the budget that is for what is on its way into a file, as a divisor. It is soon free again, whatever clients do: so bodies
/// go into files when the rest is taken by clients that read nothing.
const FOR_FILES: usize = 4;

/// What is held of all bodies together, but for what every connection may always hold.
#[derive(Debug, Default)]
pub struct BufferMemory {
    used: AtomicUsize,
    /// Tasks that wait for [`FOR_FILES`].
    waiting: Mutex<Vec<Waker>>,
    is_awaited: AtomicBool,
}

/// One connection's part of it, or one body's.
pub struct MemoryShare {
    memory: Arc<BufferMemory>,
    limit: usize,
    /// In steps.
    taken: Cell<usize>,
}

/// What one HTTP/2 connection holds.
pub struct HeldAccount {
    share: MemoryShare,
    /// Of answers.
    held: Cell<usize>,
    /// Of uploads, and how many there are.
    unread: Cell<usize>,
    uploads: Cell<usize>,
    waiting: RefCell<Vec<Waker>>,
}

/// A part of an answer, in its connection's account until it is gone.
pub struct HeldBytes {
    bytes: Bytes,
    length: usize,
    account: Rc<HeldAccount>,
}

impl BufferMemory {
    /// Bytes, in steps.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// In one order with [`Self::wake_when_less`], so that one of the two sees the other.
    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::SeqCst);
        if self.is_awaited.load(Ordering::SeqCst) && self.is_awaited.swap(false, Ordering::SeqCst) {
            let waiting = std::mem::take(&mut *self.waiting.lock());
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    fn wake_when_less(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        self.is_awaited.store(true, Ordering::SeqCst);
    }
}

impl MemoryShare {
    /// `limit`: of all shares of `memory` together.
    pub fn new(memory: Arc<BufferMemory>, limit: usize) -> Self {
        Self { memory, limit, taken: Cell::new(0) }
    }

    /// One may have as much as it leaves free (Choudhury and Hahne, "Dynamic Queue Length Thresholds").
    pub fn may_take(&self) -> bool {
        self.leaves(1)
    }

    /// Whether it leaves this many times as much free as it has.
    pub fn leaves(&self, times: usize) -> bool {
        let free = (self.limit - self.limit / FOR_FILES).saturating_sub(self.memory.used());
        free >= STEP && self.taken.get() * times < free
    }

    /// Ready once another part may be taken that is soon in a file.
    pub fn poll_for_file(&self, cx: &Context<'_>) -> Poll<()> {
        let is_free = || self.limit.saturating_sub(self.memory.used()) >= STEP;
        if is_free() {
            return Poll::Ready(());
        }
        self.memory.wake_when_less(cx);
        // It may have been given back before the waker was there.
        if is_free() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// So much is held now. Takes what is missing; gives back what is too much by more than a step, so that one part more or less is
    /// no traffic.
    pub fn settle(&self, needed: usize) {
        let taken = self.taken.get();
        if needed > taken {
            let more = (needed - taken).next_multiple_of(STEP);
            self.memory.used.fetch_add(more, Ordering::Relaxed);
            self.taken.set(taken + more);
        } else if needed + 2 * STEP <= taken || (needed == 0 && taken > 0) {
            let left = needed.next_multiple_of(STEP);
            self.taken.set(left);
            self.memory.give_back(taken - left);
        }
    }

    /// What is beyond `kept` as a share of its own, which may be dropped elsewhere.
    #[must_use]
    pub fn split(&self, kept: usize) -> Self {
        let kept = kept.next_multiple_of(STEP).min(self.taken.get());
        let beyond = self.taken.replace(kept) - kept;
        Self { memory: self.memory.clone(), limit: self.limit, taken: Cell::new(beyond) }
    }

    /// The share with all that is in it; `self` has nothing then.
    #[must_use]
    pub fn hand_over(&self) -> Self {
        Self { memory: self.memory.clone(), limit: self.limit, taken: Cell::new(self.taken.take()) }
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        let taken = self.taken.get();
        if taken > 0 {
            self.memory.give_back(taken);
        }
    }
}

impl HeldAccount {
    /// `limit`: of all accounts of `memory` together.
    pub fn new(memory: Arc<BufferMemory>, limit: usize) -> Rc<Self> {
        let (held, unread, uploads) = Default::default();
        Rc::new(Self { share: MemoryShare::new(memory, limit), held, unread, uploads, waiting: RefCell::default() })
    }

    /// Whether another part of an answer may be held.
    pub fn has_room(&self) -> bool {
        let held = self.held.get();
        held < HELD_ALWAYS || (held < HELD_AT_MOST && self.share.may_take())
    }

    /// Whether more of an upload may be read.
    pub fn may_read(&self) -> bool {
        self.unread.get() < HELD_ALWAYS || self.share.may_take()
    }

    /// The task is woken when less is held; other connections may give something back unnoticed.
    pub fn wake_when_less(&self, cx: &Context<'_>) {
        self.waiting.borrow_mut().push(cx.waker().clone());
    }

    pub fn hold(self: &Rc<Self>, bytes: Bytes) -> HeldBytes {
        let length = bytes.len();
        self.held.set(self.held.get() + length);
        self.settle();
        HeldBytes { bytes, length, account: self.clone() }
    }

    fn release(&self, length: usize) {
        self.held.set(self.held.get() - length);
        self.less();
    }

    pub fn begin_upload(&self) {
        self.uploads.set(self.uploads.get() + 1);
    }

    /// Some of an upload has come.
    pub fn came(&self, length: usize) {
        if self.uploads.get() > 0 && length > 0 {
            self.unread.set(self.unread.get() + length);
            self.settle();
        }
    }

    /// Some of an upload was taken by its backend, or was none.
    pub fn went(&self, length: usize) {
        self.unread.set(self.unread.get().saturating_sub(length));
        self.less();
    }

    /// `left`: what was not taken. What comes behind the end of an upload is in no one's account: it is forgotten with the last one.
    pub fn end_upload(&self, left: usize) {
        let others = self.uploads.get() - 1;
        self.uploads.set(others);
        self.went(if others == 0 { usize::MAX } else { left });
    }

    fn less(&self) {
        self.settle();
        if !self.waiting.borrow().is_empty() && (self.has_room() || self.may_read()) {
            self.waiting.take().into_iter().for_each(Waker::wake);
        }
    }

    fn settle(&self) {
        let beyond = |held: &Cell<usize>| held.get().saturating_sub(HELD_ALWAYS);
        self.share.settle(beyond(&self.held) + beyond(&self.unread));
    }
}

impl HeldBytes {
    /// Nothing, for the end of a stream.
    pub fn none(account: &Rc<HeldAccount>) -> Self {
        Self { bytes: Bytes::new(), length: 0, account: account.clone() }
    }
}

impl Buf for HeldBytes {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        if self.length > 0 {
            self.account.release(self.length);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::task::Wake;

    use super::*;

    const LIMIT: usize = 16 * STEP;

    struct Noted(AtomicBool);

    impl Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn fill(account: &Rc<HeldAccount>) -> Vec<HeldBytes> {
        let mut parts = Vec::new();
        while account.has_room() {
            parts.push(account.hold(Bytes::from(vec![0; 16 * 1024])));
        }
        parts
    }

    #[test]
    fn what_every_connection_may_hold_is_in_no_budget() {
        let memory = Arc::default();
        let account = HeldAccount::new(Arc::clone(&memory), LIMIT);
        let parts: Vec<_> = (0..4).map(|_| account.hold(Bytes::from(vec![0; HELD_ALWAYS / 4]))).collect();
        assert_eq!(memory.used(), 0);
        let more = account.hold(Bytes::from_static(b"more"));
        assert_eq!(memory.used(), STEP);
        drop((parts, more));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn however_many_are_greedy_the_budget_holds_and_each_still_has_its_own() {
        let memory = Arc::default();
        let accounts: Vec<_> = (0..40).map(|_| HeldAccount::new(Arc::clone(&memory), LIMIT)).collect();
        let held: Vec<_> = accounts.iter().map(fill).collect();
        assert!(memory.used() <= LIMIT, "{}", memory.used());
        let of = |parts: &Vec<HeldBytes>| parts.iter().map(Buf::remaining).sum::<usize>();
        assert!(of(&held[0]) >= LIMIT * 3 / 8 && of(&held[0]) < LIMIT, "the first leaves something: {}", of(&held[0]));
        assert!(held.iter().all(|parts| of(parts) >= HELD_ALWAYS));
        drop((held, accounts));
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn one_connection_alone_has_a_bound_of_its_own() {
        let account = HeldAccount::new(Arc::default(), 1 << 30);
        let parts = fill(&account);
        assert_eq!(parts.iter().map(Buf::remaining).sum::<usize>(), HELD_AT_MOST);
    }

    #[test]
    fn a_stream_that_waits_is_woken_once_its_connection_holds_less() {
        let account = HeldAccount::new(Arc::default(), 0);
        let mut parts = fill(&account);
        let noted = Arc::new(Noted(AtomicBool::new(false)));
        assert!(!account.has_room());
        account.wake_when_less(&Context::from_waker(&noted.clone().into()));
        parts.pop();
        assert!(noted.0.load(Ordering::Relaxed) && account.has_room());
    }

    #[test]
    fn uploads_are_in_the_same_budget_and_what_is_never_taken_is_forgotten_with_the_last() {
        let memory = Arc::default();
        let account = HeldAccount::new(Arc::clone(&memory), LIMIT);
        account.came(STEP);
        assert!(account.may_read(), "of no upload");
        account.begin_upload();
        account.begin_upload();
        while account.may_read() {
            account.came(16 * 1024);
        }
        assert!((LIMIT * 3 / 8..=LIMIT).contains(&memory.used()), "{}", memory.used());
        assert!(account.has_room(), "answers have what they may always have");
        account.went(3 * STEP);
        assert!(account.may_read());
        account.end_upload(STEP);
        assert!(memory.used() > 0);
        account.end_upload(0);
        assert_eq!(memory.used(), 0);
        account.came(STEP);
        assert_eq!(memory.used(), 0);
    }
}
