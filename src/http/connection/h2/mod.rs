//! HTTP/2: the h2 crate's codec, a task for each stream, and what frames are read and written with.
//!
//! `frame_watch` is the stream that the codec reads: it counts control frames, which the codec takes without end; `coalesce` makes one
//! record of what the codec writes in one turn.

mod coalesce;
mod frame_watch;
mod frames;
mod room;
mod serve;
mod stream;

pub(super) use serve::serve;
