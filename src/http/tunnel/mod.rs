//! What a connection becomes after a 101: bytes both ways, and an end that a WebSocket is told.
//!
//! Owns the relaying and the Close frames of ours. Never changes what passes, and never puts a byte into the middle of a frame.

mod farewell;
mod frames;
mod pipe;
mod relay;

pub use relay::Tunnel;
