//! A body that is here whole, and can be read as often as it takes.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::disk::DiskShare;
use super::file::{PIECE, SpoolFile, Unreadable};
use crate::resources::MemoryShare;

/// All bytes of a body, in memory and in a file.
pub struct WholeBytes {
    front: Vec<Bytes>,
    /// And how long it is.
    file: Option<(SpoolFile, u64)>,
    behind: Vec<Bytes>,
    length: u64,
    _shares: Option<(MemoryShare, DiskShare)>,
}

/// Reads it once.
pub struct WholeReader {
    whole: Rc<WholeBytes>,
    /// How many parts in memory were read, of those before and behind the file together.
    parts: usize,
    /// How far the file was read.
    at: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl WholeBytes {
    pub(super) fn new(
        front: Vec<Bytes>,
        file: Option<(SpoolFile, u64)>,
        behind: Vec<Bytes>,
        memory: MemoryShare,
        disk: DiskShare,
    ) -> Self {
        let in_memory: usize = front.iter().chain(&behind).map(Bytes::len).sum();
        let length = in_memory as u64 + file.as_ref().map_or(0, |(_, length)| *length);
        Self { front, file, behind, length, _shares: Some((memory, disk)) }
    }

    /// One part that has come at once, and is in no one's account.
    pub fn of_one_part(part: Bytes) -> Self {
        let length = part.len() as u64;
        Self { front: vec![part], file: None, behind: Vec::new(), length, _shares: None }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn reader(self: &Rc<Self>) -> WholeReader {
        WholeReader { whole: self.clone(), parts: 0, at: 0, left: self.length, reading: None }
    }
}

impl WholeReader {
    /// Bytes that are still to be read.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next part; `None`: that was all.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Unreadable>> {
        let in_front = self.whole.front.len();
        if let Some((file, length)) = self.whole.file.as_ref().filter(|(_, length)| self.at < *length)
            && self.parts >= in_front
        {
            let piece = usize::try_from(length - self.at).unwrap_or(usize::MAX).min(PIECE);
            let (file, at) = (file.clone(), self.at);
            // Waited for by this reader; dropped with it, it ends by itself.
            let reading = self.reading.get_or_insert_with(|| spawn_blocking(move || file.read(at, piece)));
            let read = ready!(Pin::new(reading).poll(cx));
            self.reading = None;
            let Ok(Ok(part)) = read else { return Poll::Ready(Err(Unreadable)) };
            self.at += part.len() as u64;
            return Poll::Ready(Ok(Some(self.took(part))));
        }
        let part = self.whole.front.get(self.parts).or_else(|| self.whole.behind.get(self.parts - in_front)).cloned();
        self.parts += 1;
        Poll::Ready(Ok(part.map(|part| self.took(part))))
    }

    fn took(&mut self, part: Bytes) -> Bytes {
        self.left -= part.len() as u64;
        part
    }
}
