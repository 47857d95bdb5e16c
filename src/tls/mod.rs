//! TLS towards the client: which certificate for which name, the handshake within its time, the internal CA.
//!
//! The store is apart from the snapshot: a certificate that is renewed or whose file changes is taken up without a reload.
//! Never speaks HTTP. ACME will feed the same store.

mod accept;
mod chain;
mod clients;
mod digest;
mod files;
mod internal_ca;
mod name;
mod pairs;
mod rules;
mod store;
mod tickets;

pub use accept::{Handshake, HandshakeError, Tls};
pub use clients::{BadClientCert, ClientCaError, check_client_ca};
pub use files::{CertificateError, Loaded, load};
pub use internal_ca::{CaError, InternalCa, Root};
pub use rules::Rules;
pub use store::{CertStatus, CertStore, Source};
pub use tickets::{ExportedKeys, NoKey, TicketKeys};
