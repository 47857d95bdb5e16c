//! What is said to an authority and heard from it: HTTP, the account, and what its refusals mean for the next attempt.

mod account;
mod failure;
mod http;
mod register;

pub use account::{AccountClient, Accounts};
pub use failure::{AcmeFailure, FailureKind, describe};
pub use http::AuthorityHttp;
