//! A queue of bytes that grows into a file.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

use super::disk::{DiskShare, SpoolDisk};
use super::file::{PIECE, SpoolFile, Unreadable};
use super::parts::Parts;
use super::whole::WholeBytes;
use crate::config::SpoolConfig;
use crate::resources::{BufferMemory, LARGEST_PART, MemoryShare};

/// Bytes in the order in which they came. One task fills it and empties it: that is woken when the file is done.
pub struct Fifo {
    /// What is read next. Behind it comes what is in the file, and behind that what is to be written.
    front: Parts,
    tail: Parts,
    in_memory: usize,
    memory: MemoryShare,
    disk: DiskShare,
    file: Option<SpoolFile>,
    read: u64,
    written: u64,
    work: Option<Work>,
    /// Others take the memory that the next part needs on its way into the file; they soon give it back.
    waits_for_memory: bool,
    is_lost: bool,
}

/// What is done with the file, on a thread that may wait.
enum Work {
    Write { length: usize, done: JoinHandle<Result<SpoolFile, Unwritten>> },
    Read(JoinHandle<io::Result<Bytes>>),
}

/// What could not be written, and is still to be read from memory.
struct Unwritten {
    parts: Vec<Bytes>,
    error: io::Error,
}

impl Fifo {
    /// `in_memory`: so much of it, before the rest goes into the file.
    pub fn new(
        in_memory: usize,
        memory: &Arc<BufferMemory>,
        memory_limit: usize,
        disk: &Arc<SpoolDisk>,
        spool: &Arc<SpoolConfig>,
    ) -> Self {
        Self {
            front: Parts::default(),
            tail: Parts::default(),
            in_memory,
            memory: MemoryShare::new(memory.clone(), memory_limit),
            disk: DiskShare::new(disk, spool),
            file: None,
            read: 0,
            written: 0,
            work: None,
            waits_for_memory: false,
            is_lost: false,
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.front.is_empty() && self.tail.is_empty() && !self.has_file_part()
    }

    /// Ready once another part may be pushed. Pending: the file is being written, or what is here has to be read first, by this reader
    /// or by others.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.waits_for_memory = false;
        loop {
            let is_idle = self.poll_work(cx).is_ready();
            let has_disk = self.disk.has_room(LARGEST_PART);
            let fits = || !self.spills() || (has_disk && self.tail.length() < PIECE);
            if self.memory.may_take() && fits() {
                return Poll::Ready(());
            }
            if !is_idle {
                return Poll::Pending;
            }
            if self.tail.is_empty() && has_disk && !self.has_file_part() {
                // Memory is short: what waits for the reader goes into the file, too.
                std::mem::swap(&mut self.front, &mut self.tail);
            }
            if self.tail.is_empty() {
                self.waits_for_memory = has_disk && self.memory.poll_for_file(cx).is_pending();
                return if has_disk && !self.waits_for_memory { Poll::Ready(()) } else { Poll::Pending };
            }
            if !self.write() {
                return Poll::Pending;
            }
        }
    }

    /// Whether there is room soon, whatever the reader does: the file is being written or read, or others do that.
    pub fn is_at_work(&self) -> bool {
        self.work.is_some() || self.waits_for_memory
    }

    /// To be asked for room before.
    pub fn push(&mut self, part: Bytes) {
        if self.spills() || !self.memory.may_take() {
            self.tail.push(part);
        } else {
            self.front.push(part);
        }
        self.settle();
        if self.work.is_none() && !self.memory.may_take() {
            // It does not wait here for more of the same: its memory is needed.
            self.write();
        }
    }

    /// The next part; `None`: nothing is here. Pending: it is being read from the file.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Unreadable>> {
        loop {
            let idle = self.poll_work(cx);
            if let Some(part) = self.front.pop() {
                self.settle();
                return Poll::Ready(Ok(Some(part)));
            }
            if self.is_lost {
                return Poll::Ready(Err(Unreadable));
            }
            ready!(idle);
            if self.has_file_part() {
                self.read();
                continue;
            }
            self.rewind();
            if self.tail.is_empty() {
                return Poll::Ready(Ok(None));
            }
            std::mem::swap(&mut self.front, &mut self.tail);
        }
    }

    /// All of it as it is, to be read as often as it takes. Ready when nothing is being written any more; `self` is empty then.
    pub fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<WholeBytes> {
        ready!(self.poll_work(cx));
        let front = self.front.take_all();
        let behind = self.tail.take_all();
        let file = self.file.take().map(|file| (file, self.written));
        (self.read, self.written) = (0, 0);
        Poll::Ready(WholeBytes::new(front, file, behind, self.memory.hand_over(), self.disk.hand_over()))
    }

    /// Whether what comes next is behind something that is not in `front`.
    fn spills(&self) -> bool {
        // Some of what it may take is left for the pieces that go into the file.
        let is_full = || self.front.length() >= self.in_memory || !self.memory.leaves(2);
        !self.tail.is_empty() || self.has_file_part() || is_full()
    }

    fn has_file_part(&self) -> bool {
        self.read < self.written || matches!(self.work, Some(Work::Write { .. }))
    }

    /// Ready when nothing is done with the file.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.work {
            None => return Poll::Ready(()),
            Some(Work::Write { length, done }) => match ready!(Pin::new(done).poll(cx)) {
                Ok(Ok(file)) => {
                    self.file = Some(file);
                    self.written += *length as u64;
                }
                Ok(Err(Unwritten { parts, error })) => {
                    self.disk.fail(*length, &error);
                    self.tail.put_back(parts);
                }
                Err(lost) => {
                    tracing::error!(%lost, "a spool file was not written: its body is cut");
                    self.is_lost = true;
                }
            },
            Some(Work::Read(done)) => match ready!(outcome(done, cx)) {
                Ok(part) => {
                    self.read += part.len() as u64;
                    self.front.push(part);
                }
                Err(error) => {
                    tracing::warn!(%error, "a spool file can't be read: its body is cut");
                    self.is_lost = true;
                }
            },
        }
        self.work = None;
        self.settle();
        Poll::Ready(())
    }

    /// False: there is nothing, or the disk takes no more.
    fn write(&mut self) -> bool {
        let length = self.tail.length();
        if length == 0 || !self.disk.take(length) {
            return false;
        }
        let parts = self.tail.take_all();
        // Given back when it is written, whoever looks then.
        let memory = self.memory.split(self.front.length());
        let (file, folder, at) = (self.file.clone(), self.disk.folder(), self.written);
        // Waited for by this queue; dropped with it, it ends by itself.
        let done = spawn_blocking(move || {
            let _memory = memory;
            let opened = file.map_or_else(|| SpoolFile::create(&folder), Ok);
            let written = opened.and_then(|file| file.write(&parts, at).map(|()| file));
            written.map_err(|error| Unwritten { parts, error })
        });
        self.work = Some(Work::Write { length, done });
        true
    }

    fn read(&mut self) {
        let Some(file) = self.file.clone() else { return self.is_lost = true };
        let left = usize::try_from(self.written - self.read).unwrap_or(usize::MAX);
        let (at, length) = (self.read, left.min(PIECE));
        // Waited for by this queue; dropped with it, it ends by itself.
        self.work = Some(Work::Read(spawn_blocking(move || file.read(at, length))));
    }

    /// All of the file has been read: what is written next gets another.
    fn rewind(&mut self) {
        if self.file.take().is_some() {
            (self.read, self.written) = (0, 0);
            self.disk.give_back_all();
        }
    }

    fn settle(&self) {
        self.memory.settle(self.front.length() + self.tail.length());
    }
}

fn outcome<T>(done: &mut JoinHandle<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
    Pin::new(done).poll(cx).map(|joined| joined.unwrap_or_else(|lost| Err(io::Error::other(lost))))
}

#[cfg(test)]
mod tests;
