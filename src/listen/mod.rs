//! Where connections come in: sockets, the PROXY protocol, admission, the hand-over to TLS and HTTP.
//!
//! A listening socket is one file description that every core polls. Not SO_REUSEPORT: with it a second daemon would bind
//! the same port without an error, and connections queued to a core that goes away would be lost.

mod accept;
mod admission;
mod proxy_protocol;
mod socket;

pub use accept::{Core, CoreOrder, run_core};
pub use admission::Admissions;
pub use socket::{BindError, Listener, bind, bind_unix};
