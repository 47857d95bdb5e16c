//! A request's body over HTTP/2, and what becomes of the rest of one that nobody reads.
//!
//! Owns the reading and its flow control. What an exchange sees of it: `request_body`; its bounds in size and time are the exchange's.

mod streamed;
mod unread;

pub(super) use streamed::StreamedBody;
pub(super) use unread::Unread;
