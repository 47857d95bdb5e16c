//! The exchange with an authority: HTTP, the account, and what a refusal means for the next attempt.

mod account;
mod failure;
mod http;
mod register;

pub use account::{AccountClient, Accounts};
pub use failure::{AcmeFailure, FailureKind, describe};
pub use http::AuthorityHttp;
