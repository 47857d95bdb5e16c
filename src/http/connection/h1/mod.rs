//! HTTP/1.1: hyper's codec, and what is looked at and mended in the bytes beneath it.
//!
//! `head_watch` is the stream that the codec reads: it feeds the scan (pure: `scan`, `length`, `chunks`, `target`), which finds what
//! the codec's parser lets pass, and writes our form of the codec's own refusals.

mod chunks;
#[cfg(any(test, fuzzing))]
mod differential;
mod future_pool;
mod head_watch;
mod length;
mod own;
mod scan;
mod serve;
mod target;

#[cfg(fuzzing)]
pub use differential::compare;
pub(super) use serve::serve;
