//! A bounded queue of lines, and the thread that writes them.
//!
//! An output that is slow or stalls fills the queue, one that refuses loses what it was given: both are counted as dropped
//! lines, told in the daemon's log once lines go out again, and never stop the thread. It ends when the queue is closed,
//! or when nothing is left that could fill it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::stream::WriteFailed;
use super::target::LogTarget;

/// Emptied buffers kept for whoever fills the next ones.
const SPARES: usize = 16;

/// How often a flush looks whether there is room for it.
const LOOK: Duration = Duration::from_millis(5);

/// Lines on their way, each with its line feed.
#[derive(Debug, Default)]
pub struct LogChunk {
    pub bytes: Vec<u8>,
    pub lines: u64,
}

enum LogMessage {
    LogChunk(LogChunk),
    /// Look at the flags.
    Wake,
    /// All before it is written, or dropped.
    Flush(SyncSender<()>),
}

/// The callers' side of the queue.
#[derive(Debug)]
pub struct LogQueue {
    name: &'static str,
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
    /// At most `room` chunks wait.
    pub fn start(target: LogTarget, room: usize) -> io::Result<Arc<Self>> {
        let (sender, receiver) = mpsc::sync_channel(room);
        let (ending, ended) = mpsc::channel();
        let shared = Arc::new(LogState::default());
        let name = target.name;
        let mut writer = LogWriter { target, shared: Arc::clone(&shared), refusing: false, told: 0 };
        // Owned by the queue: ends with `close`, or with the last sender.
        thread::Builder::new().name(format!("log-{name}")).spawn(move || {
            writer.run(&receiver);
            drop(ending);
        })?;
        Ok(Arc::new(Self { name, sender, shared, ended: Mutex::new(ended) }))
    }

    /// The output, as the metric calls it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Takes the chunk's lines, or drops them if the queue is full; either way the chunk is empty afterwards. Never waits.
    pub fn offer(&self, chunk: &mut LogChunk) {
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

    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.wake();
    }

    /// Lines lost since the start: the queue was full, or the output refused them.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Waits until what was offered before is written, at most `timeout`; whether it was.
    pub fn flush(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let (done, wait) = mpsc::sync_channel(1);
        while let Err(full) = self.sender.try_send(LogMessage::Flush(done.clone())) {
            if matches!(full, TrySendError::Disconnected(_)) || Instant::now() >= until {
                return false;
            }
            thread::sleep(LOOK);
        }
        wait.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }

    /// The same; lines that are offered later are dropped.
    pub fn close(&self, timeout: Duration) -> bool {
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
    /// Of the dropped lines, those that the daemon's log has been told of.
    told: u64,
}

impl LogWriter {
    fn run(&mut self, receiver: &Receiver<LogMessage>) {
        while let Ok(message) = self.next(receiver) {
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            match message {
                LogMessage::LogChunk(chunk) => {
                    self.write(&chunk);
                    self.shared.keep(chunk.bytes);
                }
                LogMessage::Flush(done) => drop(done.try_send(())),
                LogMessage::Wake => {}
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
        let sink = self.target.name;
        match self.target.write(&chunk.bytes) {
            Ok(()) => {
                self.refusing = false;
                let dropped = self.shared.dropped.load(Ordering::Relaxed);
                let lines = dropped - std::mem::replace(&mut self.told, dropped);
                if lines > 0 {
                    tracing::warn!(
                        sink,
                        lines,
                        "a log goes on: lines were dropped, its reader or its disk was not able to take them"
                    );
                }
            }
            Err(WriteFailed { error, lost }) => {
                self.shared.dropped.fetch_add(lost.min(chunk.lines), Ordering::Relaxed);
                if !self.refusing {
                    tracing::warn!(sink, %error, "a log can't be written, its lines are dropped");
                }
                self.refusing = true;
            }
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.target.reopen() {
            tracing::warn!(%error, "access log can't be opened anew, the old file is kept");
        }
    }
}
