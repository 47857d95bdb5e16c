//! Where connections come in: sockets, accepting, admission, the PROXY protocol. Reads nothing that a client sends beyond that.
//!
//! A listening socket is one file description that every worker polls. Not SO_REUSEPORT: with it a second daemon would bind
//! the same port without an error, and connections queued to a worker that goes away would be lost.

mod accept;
mod admission;
mod proxy_protocol;
mod socket;

pub use accept::{Accepted, Accepting};
pub use admission::{Admissions, Admitted, LimitReached};
pub use proxy_protocol::read_proxy_header;
pub use socket::{BindError, Listener, bind, bind_unix};
