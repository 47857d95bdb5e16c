//! edgectl: the front door for apps deployed with docker compose.
//!
//! A guided tour, lowest layer first; a module imports only from those above it here, and `tests/architecture/main.rs` checks
//! that. A request's way: [`listen`] → [`worker`] → [`tls`] → [`http`] → [`decide`] → [`upstream`]. A switch's way: [`cli`] →
//! [`admin`] → [`control`] → [`service`].

// 0: values; what the machine gives; reading a file that a user names
pub mod named_file;
pub mod resources;
pub mod types;
// 1: what the user wrote; files that survive a crash; where log lines go
pub mod config;
pub mod sink;
pub mod state;
// 2: what a request meets, made ready
pub mod access;
pub mod challenge;
pub mod decide;
pub mod error;
pub mod headers;
pub mod limit;
pub mod metrics;
pub mod policy;
pub mod service;
pub mod site;
pub mod snapshot;
pub mod spool;
pub mod supervise;
pub mod token;
pub mod trust;
// 3: towards the backends, and towards the clients
pub mod health;
pub mod http;
pub mod listen;
pub mod management;
pub mod resolve;
pub mod tls;
pub mod upstream;
pub mod worker;
// 4: what changes what serves
pub mod acme;
pub mod control;
pub mod doctor;
// 5: how it is asked for, and all of it together
pub mod admin;
pub mod daemon;
pub mod demo;
// 6: what a person types
pub mod cli;
