//! What a page has in it.

use http::StatusCode;

/// What is to be said.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    pub status: StatusCode,
    /// Stable (RFC 9457's `code` here).
    pub reason: &'a str,
    /// One sentence, for people.
    pub text: &'a str,
    pub request_id: &'a str,
}
