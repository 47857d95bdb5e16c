//! `[[site]]` with its `[[site.route]]`: who is answered for, by what, and what a route inherits.

mod action;
mod context;
mod hosts;
mod inherited;
mod tables;

pub use context::SiteContext;
pub use tables::read;
