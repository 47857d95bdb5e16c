//! Parts of a body in memory, in order.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A part from this size on is kept as it came. A smaller one may be a corner of a large buffer that it would hold on to, so it is copied.
const LARGE: usize = 16 * 1024;

/// Small parts are copied into blocks of this size.
const BLOCK: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Parts {
    closed: VecDeque<Bytes>,
    open: BytesMut,
    length: usize,
}

impl Parts {
    pub fn length(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn push(&mut self, mut part: Bytes) {
        self.length += part.len();
        if part.len() >= LARGE {
            self.close();
            return self.closed.push_back(part);
        }
        while !part.is_empty() {
            if self.open.capacity() == 0 {
                self.open.reserve(BLOCK);
            }
            let fits = part.split_to(part.len().min(self.open.capacity() - self.open.len()));
            self.open.extend_from_slice(&fits);
            if self.open.len() == self.open.capacity() {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.closed.push_back(std::mem::take(&mut self.open).freeze());
        }
    }

    pub fn pop(&mut self) -> Option<Bytes> {
        if self.closed.is_empty() {
            self.close();
        }
        let part = self.closed.pop_front()?;
        self.length -= part.len();
        Some(part)
    }

    pub fn take_all(&mut self) -> Vec<Bytes> {
        self.close();
        self.length = 0;
        std::mem::take(&mut self.closed).into()
    }

    /// What [`Parts::take_all`] has given, before what has come since.
    pub fn put_back(&mut self, parts: Vec<Bytes>) {
        self.length += parts.iter().map(Bytes::len).sum::<usize>();
        parts.into_iter().rev().for_each(|part| self.closed.push_front(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_are_copied_together_and_large_ones_kept_as_they_came_all_in_order() {
        let mut parts = Parts::default();
        let large = Bytes::from(vec![b'l'; LARGE]);
        parts.push(Bytes::from_static(b"ab"));
        parts.push(Bytes::from_static(b"cd"));
        parts.push(large.clone());
        parts.push(Bytes::from_static(b"ef"));
        assert_eq!(parts.length(), LARGE + 6);
        assert_eq!(parts.pop().unwrap(), &b"abcd"[..]);
        assert_eq!(parts.pop().unwrap().as_ptr(), large.as_ptr(), "not copied");
        assert_eq!(parts.pop().unwrap(), &b"ef"[..]);
        assert!(parts.pop().is_none() && parts.is_empty());
    }

    #[test]
    fn a_part_of_a_large_buffer_does_not_hold_on_to_it() {
        let mut parts = Parts::default();
        let buffer = Bytes::from(vec![b'x'; 64 * 1024]);
        for at in 0..=BLOCK {
            parts.push(buffer.slice(at..=at));
        }
        drop(buffer);
        let lengths: Vec<_> = parts.take_all().iter().map(Bytes::len).collect();
        assert_eq!(lengths, [BLOCK, 1]);
    }

    #[test]
    fn what_is_put_back_comes_before_what_has_come_since() {
        let mut parts = Parts::default();
        parts.push(Bytes::from_static(b"1"));
        let taken = parts.take_all();
        parts.push(Bytes::from_static(b"2"));
        parts.put_back(taken);
        assert_eq!((parts.length(), parts.pop().unwrap(), parts.pop().unwrap()), (2, "1".into(), "2".into()));
    }
}
