//! Certificates from an authority (ACME, RFC 8555): asked for, kept on disk, renewed in time.
//!
//! Owns `state_dir/acme` and one task for each certificate that [`crate::tls::CertStore`] wants. What it learns it tells the
//! store; what an authority comes to see is in [`crate::challenge`]. Runs on the control runtime alone, never on a core's.
//! When to do what is decided in `schedule`, which opens no socket and reads no clock; `order` does it.

mod account;
pub mod doctor;
mod failure;
mod fit;
mod folder;
mod hook;
mod http;
mod inherit;
mod keeper;
mod ledger;
mod manager;
mod order;
mod present;
mod register;
mod schedule;
mod stamp;

pub use failure::{Failure, Kind};
pub use manager::{Handle, Manager, NotRenewed, Renewed};
