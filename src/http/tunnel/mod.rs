//! What a connection becomes after a 101: bytes both ways, and for a WebSocket an end with a Close frame.
//!
//! Owns the relaying and the Close frames of ours. Never changes what passes, and never puts a byte into the middle of a frame.

mod farewell;
mod frames;
mod pipe;
mod relay;

#[cfg(fuzzing)]
pub use frames::follow as follow_frames;
pub use relay::Tunnel;
