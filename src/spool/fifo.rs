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
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::resources::Descriptors;

    struct Kept {
        fifo: Fifo,
        memory: Arc<BufferMemory>,
        disk: Arc<SpoolDisk>,
        folder: tempfile::TempDir,
    }

    const IN_MEMORY: usize = 64 * 1024;

    fn kept(memory_limit: usize, spool_size: u64) -> Kept {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(SpoolDisk::new(Descriptors::within(usize::MAX, 0)));
        let memory = Arc::default();
        let config = Arc::new(SpoolConfig { dir: folder.path().into(), size: spool_size });
        let fifo = Fifo::new(IN_MEMORY, &memory, memory_limit, &disk, &config);
        Kept { fifo, memory, disk, folder }
    }

    /// Numbered bytes: what is lost, doubled or out of order shows.
    fn bytes(from: usize, length: usize) -> Bytes {
        (from..from + length).map(|at| (at * 31 + at / 251) as u8).collect::<Vec<_>>().into()
    }

    /// Fills it as long as it takes more, in parts of odd sizes; answers how much it has taken.
    async fn fill(fifo: &mut Fifo, from: usize, at_most: usize) -> usize {
        let mut to = from;
        while to - from < at_most {
            let room = tokio::time::timeout(std::time::Duration::from_millis(300), poll_fn(|cx| fifo.poll_room(cx)));
            if room.await.is_err() {
                break;
            }
            let length = (1 + to % 50_000).min(from + at_most - to);
            fifo.push(bytes(to, length));
            to += length;
        }
        to - from
    }

    /// Takes everything; answers how much it was.
    async fn empty(fifo: &mut Fifo, from: usize) -> usize {
        let mut to = from;
        while let Some(part) = poll_fn(|cx| fifo.poll_next(cx)).await.unwrap() {
            assert_eq!(part, bytes(to, part.len()), "from {to}");
            to += part.len();
        }
        to - from
    }

    #[tokio::test]
    async fn what_fits_into_memory_makes_no_file() {
        let mut kept = kept(1 << 20, 1 << 30);
        assert_eq!(fill(&mut kept.fifo, 0, IN_MEMORY - 1).await, IN_MEMORY - 1);
        assert_eq!((kept.disk.used(), kept.disk.files()), (0, 0));
        assert!(kept.memory.used() >= IN_MEMORY - 1);
        assert_eq!(empty(&mut kept.fifo, 0).await, IN_MEMORY - 1);
        assert!(kept.fifo.is_empty());
        assert_eq!(kept.memory.used(), 0);
    }

    #[tokio::test]
    async fn beyond_it_goes_through_the_file_in_order_and_memory_stays_bounded() {
        let mut kept = kept(64 << 20, 1 << 30);
        let size = 20 << 20;
        assert_eq!(fill(&mut kept.fifo, 0, size).await, size);
        assert!(kept.memory.used() < IN_MEMORY + 3 * PIECE, "{}", kept.memory.used());
        assert!(kept.disk.used() > (size - IN_MEMORY - 2 * PIECE) as u64, "{}", kept.disk.used());
        assert_eq!(empty(&mut kept.fifo, 0).await, size);
        assert_eq!((kept.memory.used(), kept.disk.used(), kept.disk.files()), (0, 0, 1));
    }

    #[tokio::test]
    async fn filled_and_emptied_by_turns_nothing_is_lost() {
        let mut kept = kept(64 << 20, 1 << 30);
        let (mut filled, mut emptied) = (0, 0);
        for round in 0..40 {
            filled += fill(&mut kept.fifo, filled, 100_000 * (1 + round % 7)).await;
            for _ in 0..(round % 11) {
                let Some(part) = poll_fn(|cx| kept.fifo.poll_next(cx)).await.unwrap() else { break };
                assert_eq!(part, bytes(emptied, part.len()));
                emptied += part.len();
            }
        }
        emptied += empty(&mut kept.fifo, emptied).await;
        assert_eq!(emptied, filled);
        assert!(kept.disk.files() > 0);
    }

    #[tokio::test]
    async fn a_full_or_missing_disk_takes_no_more_than_memory_does_and_loses_nothing() {
        for (size, folder_is_gone) in [(0, false), (1 << 20, false), (1 << 30, true)] {
            let mut kept = kept(64 << 20, size);
            if folder_is_gone {
                std::fs::remove_dir(kept.folder.path()).unwrap();
            }
            let taken = fill(&mut kept.fifo, 0, 8 << 20).await;
            let most = IN_MEMORY + 3 * PIECE + size as usize / 8;
            assert!((IN_MEMORY..most).contains(&taken) || folder_is_gone && taken < most, "{taken} of {size}");
            let more = {
                let part = poll_fn(|cx| kept.fifo.poll_next(cx)).await.unwrap().unwrap();
                assert_eq!(part, bytes(0, part.len()));
                part.len()
            };
            assert_eq!(more + empty(&mut kept.fifo, more).await, taken);
            assert_eq!((kept.disk.used(), kept.memory.used()), (0, 0));
            let again = fill(&mut kept.fifo, taken, 10_000).await;
            assert_eq!(empty(&mut kept.fifo, taken).await, again);
        }
    }

    #[tokio::test]
    async fn a_small_budget_of_memory_is_kept_and_one_that_others_use_up_takes_nothing() {
        let mut kept = kept(512 * 1024, 1 << 30);
        assert_eq!(fill(&mut kept.fifo, 0, 4 << 20).await, 4 << 20);
        assert!(kept.memory.used() <= 512 * 1024, "{}", kept.memory.used());
        assert_eq!(empty(&mut kept.fifo, 0).await, 4 << 20);
        let mut none = Kept { fifo: Fifo::new(IN_MEMORY, &kept.memory, 0, &kept.disk, &none_config()), ..kept };
        assert_eq!(fill(&mut none.fifo, 0, 4 << 20).await, 0);
    }

    #[tokio::test]
    async fn bodies_that_nobody_reads_go_into_files_however_many_have_taken_the_memory() {
        let first = kept(1 << 20, 1 << 30);
        let config = Arc::new(SpoolConfig { dir: first.folder.path().into(), size: 1 << 30 });
        let another = || Fifo::new(1 << 20, &first.memory, 1 << 20, &first.disk, &config);
        let mut kept: Vec<Fifo> = (0..20).map(|_| another()).collect();
        // By turns, so that each takes some memory, and never gives it back to a reader.
        for round in 0..3 {
            for fifo in &mut kept {
                assert_eq!(fill(fifo, round << 19, 1 << 19).await, 1 << 19, "round {round}");
                assert!(first.memory.used() <= 1 << 20, "{}", first.memory.used());
            }
        }
        for fifo in &mut kept {
            assert_eq!(empty(fifo, 0).await, 3 << 19);
        }
        drop(kept);
        assert_eq!((first.memory.used(), first.disk.used()), (0, 0));
    }

    #[tokio::test]
    async fn who_waits_for_the_memory_of_another_s_piece_is_woken() {
        let first = kept(2 * LARGEST_PART, 1 << 30);
        let config = Arc::new(SpoolConfig { dir: first.folder.path().into(), size: 1 << 30 });
        let other = MemoryShare::new(first.memory.clone(), 2 * LARGEST_PART);
        other.settle(2 * LARGEST_PART);
        let mut fifo = Fifo::new(IN_MEMORY, &first.memory, 2 * LARGEST_PART, &first.disk, &config);
        let waits = poll_fn(|cx| fifo.poll_room(cx));
        let (room, ()) = tokio::join!(tokio::time::timeout(std::time::Duration::from_secs(5), waits), async {
            tokio::task::yield_now().await;
            drop(other);
        });
        assert!(room.is_ok());
    }

    fn none_config() -> Arc<SpoolConfig> {
        Arc::new(SpoolConfig { dir: "/".into(), size: 0 })
    }

    #[tokio::test]
    async fn a_whole_is_read_again_and_again() {
        let mut kept = kept(64 << 20, 1 << 30);
        let size = 3 << 20;
        fill(&mut kept.fifo, 0, size).await;
        let whole = std::rc::Rc::new(poll_fn(|cx| kept.fifo.poll_whole(cx)).await);
        assert_eq!(whole.length(), size as u64);
        assert!(kept.memory.used() > 0 && kept.disk.used() > 0);
        drop(kept.fifo);
        for _ in 0..3 {
            let mut reader = WholeBytes::reader(&whole);
            let mut at = 0;
            while let Some(part) = poll_fn(|cx| reader.poll_next(cx)).await.unwrap() {
                assert_eq!(part, bytes(at, part.len()));
                at += part.len();
                assert_eq!(reader.left(), (size - at) as u64);
            }
            assert_eq!(at, size);
        }
        drop(whole);
        assert_eq!((kept.memory.used(), kept.disk.used()), (0, 0));
    }
}
