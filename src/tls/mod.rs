//! TLS towards the client: which certificate for which name, the handshake within its time, the internal CA.
//!
//! The store is apart from the snapshot: a certificate that is renewed or whose file changes is taken up without a reload.
//! Never speaks HTTP. [`crate::acme`] feeds the same store.

mod accept;
mod chain;
mod clients;
mod digest;
mod files;
mod index;
mod internal_ca;
mod name;
mod pairs;
mod rules;
mod store;
mod tickets;
mod wanted;

pub use accept::{Handshake, HandshakeError, Tls};
pub use clients::{BadClientCert, ClientCaError, check_client_ca};
pub use files::{CertificateError, Content, Loaded, load, parse};
pub use index::{CertStatus, Source};
pub use internal_ca::{CaError, InternalCa, Root};
pub use rules::Rules;
pub use store::{CertStore, Told};
pub use tickets::{ExportedKeys, NoKey, TicketKeys};
pub use wanted::Wanted;
