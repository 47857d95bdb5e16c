//! Which roots vouch for the other side of a TLS connection: roots from PEM files, and how the `https` backends of a service are
//! verified by them.
//!
//! Files are read at the start, at a reload and when they change, on the control runtime; a core finds all of it ready in
//! memory. What was read belongs to the [`crate::snapshot`]. What clients have to show: [`crate::tls`].

mod backends;
mod connector;
mod roots;

pub use backends::{BackendTls, BackendTlsCell, BackendTlsSet, files};
pub use connector::{ConnectorError, plain_connector};
pub use roots::{Roots, RootsError};
