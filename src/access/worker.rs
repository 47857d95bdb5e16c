//! A worker's own end of the access log: a buffer, used by one thread.
//!
//! Recording formats into the buffer and, when it is full, hands it over; neither waits. The worker flushes about
//! every 100 ms and at its end, so that a quiet site's lines appear too.

use std::sync::Arc;

use crate::config::AccessFormat;
use crate::sink::{LogChunk, LogQueue};

use super::entry::Entry;
use super::format;
use super::time::TimeStamp;

/// A buffer of this size goes to the writer.
const FULL: usize = 64 * 1024;

/// One worker's log. Dropping it flushes.
#[derive(Debug)]
pub struct WorkerLog {
    queue: Option<Arc<LogQueue>>,
    format: AccessFormat,
    stamp: TimeStamp,
    chunk: LogChunk,
}

impl WorkerLog {
    pub(super) fn new(queue: Option<Arc<LogQueue>>, format: AccessFormat) -> Self {
        Self { queue, format, stamp: TimeStamp::default(), chunk: LogChunk::default() }
    }

    /// Whether anything is logged at all; lets a caller skip gathering fields.
    pub fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Adds the request's line. Never waits; hands the buffer over when it has grown past 64 KiB.
    pub fn record(&mut self, entry: &Entry<'_>) {
        if self.queue.is_none() {
            return;
        }
        format::write(&mut self.chunk.bytes, self.format, entry, &mut self.stamp);
        self.chunk.lines += 1;
        if self.chunk.bytes.len() > FULL {
            self.flush();
        }
    }

    /// Hands what there is to the writer. If its queue is full, the lines are dropped and counted.
    pub fn flush(&mut self) {
        if let Some(queue) = &self.queue
            && self.chunk.lines > 0
        {
            queue.offer(&mut self.chunk);
        }
    }
}

impl Drop for WorkerLog {
    fn drop(&mut self) {
        self.flush();
    }
}
