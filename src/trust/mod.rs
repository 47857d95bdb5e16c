//! Which roots vouch for the other side of a TLS connection: roots from PEM files, and how clients and the `https` backends of a
//! service are verified by them.
//!
//! Files are read at the start, at a reload and when they change, on the control runtime; a core finds all of it ready in
//! memory. What was read belongs to the [`crate::snapshot`]. The handshake with clients: [`crate::tls`].

mod backends;
mod clients;
mod connector;
mod root_sets;
mod roots;

pub use backends::{BackendTls, BackendTlsCell, BackendTlsSet};
pub use clients::{ClientCaError, ClientProof, ClientRootSet, ClientRoots, asked_of_clients};
pub use connector::{ConnectorError, plain_connector};
pub use root_sets::{RootSets, backend_files, files};
pub use roots::{RootTrouble, Roots, RootsError};
