//! What a route does besides asking its service, a room for each: what the user wrote, what is made of it at load, and what it does to a
//! request or an answer.
//!
//! Pure: no room here reads a socket or a file. [`crate::site`] holds what a route has, [`crate::http`] asks it.

pub mod cors;
pub mod methods;
pub mod pages;
