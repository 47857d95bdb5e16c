//! What clients get so that we recognize them: a preview's token, a canary's ticket, the backend that a client was with.
//!
//! Owns the names and the form of our cookies and of a preview's link. A value that is forged, expired or
//! of another service counts as absent. [`crate::service`] decides what follows from a visit; [`crate::token`] signs.

mod cookies;
mod link;
mod visitor;

pub use cookies::{OURS, OurCookie};
pub use link::{SeeOther, is_navigation, see_other, take_token};
pub use visitor::{Sticky, Visitor};
