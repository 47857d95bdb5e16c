//! What is said to an authority and heard from it: HTTP, the account, and what its refusals mean for the next attempt.

mod account;
mod failure;
mod http;
mod register;

pub use account::{Accounts, Client};
pub use failure::{Failure, Kind, describe};
pub use http::Http;
