//! The tries at one request: which backend ([`pick`]), on which connection ([`tries`]), what follows from one that failed ([`retry`]),
//! and the request once more for the next ([`again`]).

mod again;
mod pick;
mod retry;
mod tries;

pub(super) use again::{RequestPayload, Spare};
pub(super) use tries::Attempt;
