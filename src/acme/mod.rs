//! Certificates from an authority (ACME, RFC 8555): asked for, kept on disk, renewed in time.
//!
//! Owns `state_dir/acme` and one task for each certificate that [`crate::tls::CertStore`] wants. What it learns it tells the
//! store; what an authority comes to see is in [`crate::challenge`]. Runs on the control runtime alone, never on a core's.
//! When to do what is decided in `schedule`, which opens no socket and reads no clock; `order` does it.

mod authority;
mod inspection;
mod keeper;
mod manager;
mod order;
mod schedule;
mod stamp;
mod storage;
mod text;
mod validation;

pub use authority::{AcmeFailure, AuthorityHttp, FailureKind};
pub use inspection::Inspection;
pub use manager::{AcmeHandle, Manager, NotRenewed, Renewal};
pub use schedule::VALIDATIONS;
pub use storage::{Attempts, LastFailure};
pub use text::{chain, one_line, show_time};
pub use validation::present::{certificate as challenge_certificate, name_of};
