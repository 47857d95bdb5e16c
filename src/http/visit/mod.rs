//! What we give to clients to know them again: a preview's token, a canary's ticket, the backend a client was with.
//!
//! Owns the names and the form of our cookies and of a preview's link. What is forged, expired or another service's is as if
//! it were absent. What follows from a visit is decided in [`crate::service`]; what signs: [`crate::token`].

mod cookies;
mod link;
mod visitor;

pub use cookies::{OURS, OurCookie};
pub use link::{SeeOther, is_navigation, see_other, take_token};
pub use visitor::{Sticky, Visitor};
