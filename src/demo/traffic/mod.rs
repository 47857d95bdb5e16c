//! The clients of the demo: lanes, each of which makes one exchange after another until the time is up.
//!
//! Every lane checks its answers byte by byte. A failed exchange is counted with its cause, and the lane goes on with a new
//! connection. No exchange is tried a second time, so nothing that was lost can hide.
//!
//! `lanes` starts them all. `h1`, `h2`, `post`, `download` and `websocket` are the kinds. They share `exchange` (counting and
//! judging), `connection` (HTTP/1.1) and `trust` (TLS).

mod connection;
mod download;
mod exchange;
mod h1;
mod h2;
mod lanes;
mod post;
mod trust;
mod websocket;

pub(super) use exchange::DemoTraffic;
pub(super) use lanes::start;
