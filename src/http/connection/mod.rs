//! A client's connection under the HTTP codec: bytes in, requests out, and its end.
//!
//! Owns the codecs' settings ([`h1`], [`h2`]), what is looked at beneath them, and how a connection closes so that its last answer
//! still arrives. Hands each request to a handler that it is given and knows nothing of what an exchange is.

mod body;
mod budget;
mod conn;
mod h1;
mod h2;
mod handler;
mod hints;
mod read_ahead;
mod request_body;
mod scanned;
mod serve;
mod stream;

pub use conn::{Conn, Takeover};
#[cfg(fuzzing)]
pub use h1::compare;
pub use handler::Handler;
pub use read_ahead::{AnswerFrames, ReadAhead};
pub use request_body::RequestBody;
pub use scanned::Escapes;
pub use serve::serve;
pub use stream::ClientStream;
