//! TLS towards the client: which certificate for which name, the handshake within its time, the internal CA.
//!
//! The store is apart from the snapshot: a certificate that is renewed or whose file changes is taken up without a reload.
//! Never speaks HTTP. [`crate::acme`] feeds the same store.

mod accept;
mod files;
mod index;
mod internal_ca;
mod store;
mod wanted;

pub use accept::{Handshake, HandshakeError, Tls};
pub use files::{CertificateError, Loaded, load, parse};
pub use index::{CertStatus, Source};
pub use internal_ca::{CaError, InternalCa};
pub use store::{CertStore, Told};
pub use wanted::Wanted;
