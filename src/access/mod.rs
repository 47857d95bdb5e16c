//! The access log: one line a request, written by a thread of its own.
//!
//! Owns the way of a line: an [`Entry`] is formatted into a worker's buffer ([`WorkerLog`]), full buffers go to
//! [`crate::sink`], which owns the file and its rotation. A request never waits for a disk: when the queue there is full,
//! the buffer's lines are dropped and counted. Formats: `format`; what a log must not tell: `mask`.

mod entry;
mod format;
mod json;
mod line;
mod mask;
mod time;
mod worker;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{AccessFormat, AccessTarget, Log};
use crate::sink::{LogFile, LogQueue, LogTarget};

pub use entry::Entry;
pub use worker::WorkerLog;

/// Buffers that may wait: with 64 KiB each at most about 16 MiB.
const QUEUE: usize = 256;

/// The access log of one `[log]` section. Dropping it ends the writer once the last [`WorkerLog`] is gone too.
#[derive(Debug)]
pub struct AccessLog {
    /// `None`: off.
    queue: Option<Arc<LogQueue>>,
    format: AccessFormat,
}

impl AccessLog {
    /// Opens the target and starts the writer's thread. Fails if the file can't be opened or the thread can't be
    /// started.
    pub fn open(config: &Log) -> io::Result<Self> {
        let target = match &config.access {
            AccessTarget::Off => None,
            AccessTarget::Stdout => Some(LogTarget::stdout()?),
            AccessTarget::File(path) => {
                let file = LogFile::open(path, config.rotate_size, config.rotate_keep)?;
                Some(LogTarget::file(file))
            }
        };
        let queue = target.map(|target| LogQueue::start(target, QUEUE)).transpose()?;
        Ok(Self { queue, format: config.format })
    }

    /// A log for one worker's thread.
    pub fn worker(&self) -> WorkerLog {
        WorkerLog::new(self.queue.clone(), self.format)
    }

    /// Opens the file anew under its name (SIGUSR1, after an outside rotation). If that fails, the old one is kept
    /// and the daemon's log says so. Returns at once.
    pub fn reopen(&self) {
        if let Some(queue) = &self.queue {
            queue.reopen();
        }
    }

    /// Where its lines go. `None`: the log is off.
    pub fn sink(&self) -> Option<&LogQueue> {
        self.queue.as_deref()
    }

    /// Waits until what the workers have flushed is written, at most `timeout`; whether it was. Lines recorded later
    /// are dropped. For the daemon's end, off the request loops.
    pub fn close(&self, timeout: Duration) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.close(timeout))
    }
}

#[cfg(test)]
mod tests;
