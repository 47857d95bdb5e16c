//! Header fields on their way through: what is cut, what is added, in the map the request came in.
//!
//! Owns three rules: [`hop`] (fields of one connection end here), [`forwarded`] (what the backend is told about the
//! client, and whose word counts), [`security`] (what every answer carries). Edits maps in place, prepares values
//! once per snapshot or connection. Never judges a request's framing or its Host: `http::receive` does.

pub mod forwarded;
pub mod hop;
pub mod security;
pub mod trace;

#[cfg(test)]
mod tests;
