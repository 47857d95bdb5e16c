//! edgectl: the front door for apps deployed with docker compose.

pub mod config;
pub mod types;
