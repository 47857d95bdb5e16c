//! What the policies of a route are given: pages, origins. What is made of it: [`crate::policy`].

pub mod cors;
pub mod error_folder;
