//! How control of a name is shown: which challenge is tried, and how its answer is put where the authority looks (RFC 8555, 8).

pub mod hook;
pub mod present;
