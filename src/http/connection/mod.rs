//! A client's connection under the HTTP codec: bytes in, requests out, and its end.
//!
//! Owns the codecs' settings, what is looked at beneath them ([`scan`]), and how a connection closes so that its last answer
//! still arrives. Hands each request to a handler that it is given and knows nothing of what an exchange is.

mod coalesce;
mod conn;
mod future_pool;
mod h1;
mod h2;
mod handler;
mod head_watch;
mod scan;
mod serve;
mod stream;
mod unparsed;

pub use conn::{Conn, Takeover};
pub use handler::Handler;
pub use serve::serve;
pub use stream::ClientStream;
