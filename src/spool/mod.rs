//! Bytes that wait for someone slower than who sends them: in memory up to a bound, then in a temporary file that has no name.
//!
//! Owns the file and its share of the disk (`[limits] spool_size`) and of memory (`[limits] buffer_memory`). Which bodies are kept is
//! decided by those who keep them; what does not fit is left to them, never dropped. No disk is waited for on the caller's thread.

mod disk;
mod fifo;
mod file;
mod parts;
mod whole;

pub use disk::{SpoolDisk, check_folder};
pub use fifo::Fifo;
pub use file::Unreadable;
pub use whole::{WholeBytes, WholeReader};
