//! A request's body as a codec gives it, and what becomes of the rest of one that nobody reads.
//!
//! Owns the two kinds, HTTP/1.1's and HTTP/2's, behind one type. Its bounds in size and time are the exchange's.

mod request;
mod streamed;
mod unread;

pub use request::RequestBody;
pub(super) use streamed::StreamedBody;
pub(super) use unread::Unread;
