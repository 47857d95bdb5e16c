//! Where log lines go: stderr, stdout or a file, each behind a bounded queue with a thread of its own.
//!
//! Owns the promise that an output never harms the daemon. A caller hands its lines to a [`LogQueue`] and goes on; the
//! thread writes them to a [`LogTarget`]. If a reader is gone, stalls or is slow, or a disk is full, lines are dropped and
//! counted, and nothing else happens. State is not written through here: what can't be stored is refused.

mod file;
mod queue;
mod stream;
mod target;

pub use file::LogFile;
pub use queue::{LogChunk, LogQueue};
pub use target::LogTarget;
