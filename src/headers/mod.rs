//! Header fields on their way through: what is cut, what is added, in the map the request came in.
//!
//! Owns four rules: [`hop`] (fields of one connection end here), [`forwarded`] (what the backend is told about the
//! client, and which peers' words count), [`security`] (what every answer carries), [`trailers`] (what may come after a
//! body). Edits maps in place, prepares values once per snapshot or connection. Never judges a request's framing or its Host: [`crate::decide`] does.

mod answer_length;
mod client_cert;
mod cookies;
mod forwarded;
mod hop;
mod names;
mod security;
mod trace;
mod trailers;
mod vouched;

pub use answer_length::AnswerLength;
pub use client_cert::ClientCert;
pub use cookies::{cookie, join_cookies, take_cookies};
pub use forwarded::{Forward, ForwardedSender, claims_https, client_ip};
pub use hop::{AnswerHop, BadConnection, Hop, strip_request, strip_response};
pub use names::{X_FORWARDED_PROTO, X_REQUEST_ID};
pub use security::SecurityHeaders;
pub use trace::TraceParent;
pub use trailers::{strip_answer_trailers, strip_request_trailers};

#[cfg(test)]
mod tests;
