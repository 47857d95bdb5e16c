//! The heads and bodies of answers: our own, and what every answer carries.
//!
//! Owns the pages of refusals, redirects, and the body that the codec sends. Never asks a backend.

mod ahead;
mod body;
mod fields;
mod own;
mod relayed;

pub use body::AnswerBody;
pub use fields::finish_headers;
pub use own::{
    Limited, intercept, own, preflight, redirect, refuse, refuse_for_maintenance, refuse_limited, see_other,
};
