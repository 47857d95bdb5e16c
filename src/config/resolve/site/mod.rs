//! `[[site]]` with its `[[site.route]]`: the hosts, what answers, and what a route inherits.

mod action;
mod context;
mod cors;
mod hosts;
mod inherited;
mod tables;

pub use context::SiteContext;
pub use tables::read;
