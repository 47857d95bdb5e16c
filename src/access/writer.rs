//! The writer: a thread that takes buffers off a bounded queue and writes them.
//!
//! Owns the target, stdout or a file. A disk that is slow fills the queue, one that refuses loses the buffer: both
//! are counted as dropped lines, told once in the daemon's log, and never stop the thread. It ends when the queue is
//! closed, or when no worker is left to fill it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::file::LogFile;

/// Buffers that may wait: with 64 KiB each at most about 16 MiB.
const QUEUE: usize = 256;

/// Emptied buffers kept for the workers.
const SPARES: usize = 16;

#[derive(Debug, Default)]
pub(super) struct LogChunk {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
}

/// Where lines end up.
#[derive(Debug)]
pub(super) enum LogTarget {
    Stdout,
    File(LogFile),
    #[cfg(test)]
    Test(Box<dyn WriteSend>),
}

#[cfg(test)]
pub(super) trait WriteSend: Write + Send + std::fmt::Debug {}

#[cfg(test)]
impl<T: Write + Send + std::fmt::Debug> WriteSend for T {}

enum LogMessage {
    LogChunk(LogChunk),
    /// Look at the flags.
    Wake,
}

/// The workers' side of the queue.
#[derive(Debug)]
pub(super) struct LogQueue {
    sender: SyncSender<LogMessage>,
    shared: Arc<LogState>,
    /// Nothing comes through it; it closes when the thread ends.
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug, Default)]
struct LogState {
    reopen: AtomicBool,
    closing: AtomicBool,
    dropped: AtomicU64,
    spares: Mutex<Vec<Vec<u8>>>,
}

impl LogQueue {
    pub(super) fn start(target: LogTarget) -> io::Result<Arc<Self>> {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let (ending, ended) = mpsc::channel();
        let shared = Arc::new(LogState::default());
        let mut writer = LogWriter { target, shared: Arc::clone(&shared), refusing: false };
        // Owned by the queue: ends with `close`, or with the last sender.
        thread::Builder::new().name("access-log".into()).spawn(move || {
            writer.run(&receiver);
            drop(ending);
        })?;
        Ok(Arc::new(Self { sender, shared, ended: Mutex::new(ended) }))
    }

    /// Takes the buffer's lines, or drops them if the queue is full; either way the buffer is empty afterwards.
    pub(super) fn offer(&self, chunk: &mut LogChunk) {
        let full = std::mem::replace(chunk, self.shared.spare());
        match self.sender.try_send(LogMessage::LogChunk(full)) {
            Ok(()) => {}
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                if let LogMessage::LogChunk(lost) = message {
                    self.shared.dropped.fetch_add(lost.lines, Ordering::Relaxed);
                    self.shared.keep(lost.bytes);
                }
            }
        }
    }

    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self, timeout: Duration) -> bool {
        self.shared.closing.store(true, Ordering::Release);
        self.wake();
        let ended = self.ended.lock();
        ended.recv_timeout(timeout) == Err(mpsc::RecvTimeoutError::Disconnected)
    }

    /// A queue that is full needs no waking: its writer looks at the flags with each buffer.
    fn wake(&self) {
        let _ = self.sender.try_send(LogMessage::Wake);
    }
}

impl LogState {
    fn spare(&self) -> LogChunk {
        let mut spares = self.spares.lock();
        LogChunk { bytes: spares.pop().unwrap_or_default(), lines: 0 }
    }

    fn keep(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut spares = self.spares.lock();
        if spares.len() < SPARES {
            spares.push(bytes);
        }
    }
}

struct LogWriter {
    target: LogTarget,
    shared: Arc<LogState>,
    /// The last write failed, and that was told.
    refusing: bool,
}

impl LogWriter {
    fn run(&mut self, receiver: &Receiver<LogMessage>) {
        while let Ok(message) = self.next(receiver) {
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if let LogMessage::LogChunk(chunk) = message {
                self.write(&chunk);
                self.shared.keep(chunk.bytes);
            }
        }
    }

    /// Waits, unless the queue is closing: then what is left is all there is.
    fn next(&self, receiver: &Receiver<LogMessage>) -> Result<LogMessage, ()> {
        if self.shared.closing.load(Ordering::Acquire) {
            return receiver.try_recv().map_err(drop);
        }
        receiver.recv().map_err(drop)
    }

    fn write(&mut self, chunk: &LogChunk) {
        let result = match &mut self.target {
            LogTarget::Stdout => write_stdout(&chunk.bytes),
            LogTarget::File(file) => file.write(&chunk.bytes),
            #[cfg(test)]
            LogTarget::Test(target) => target.write_all(&chunk.bytes),
        };
        match result {
            Ok(()) if self.refusing => tracing::info!("access log is written again"),
            Ok(()) => {}
            Err(ref error) => {
                self.shared.dropped.fetch_add(chunk.lines, Ordering::Relaxed);
                if !self.refusing {
                    tracing::warn!(%error, "access log can't be written, lines are dropped");
                }
            }
        }
        self.refusing = result.is_err();
    }

    fn reopen(&mut self) {
        if let LogTarget::File(file) = &mut self.target
            && let Err(error) = file.reopen()
        {
            tracing::warn!(%error, "access log can't be opened anew, the old file is kept");
        }
    }
}

fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
