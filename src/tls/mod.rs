//! TLS towards clients: which certificate is shown for which name, the handshake and its deadline, the internal CA.
//!
//! The store is apart from the snapshot: a certificate that is renewed or whose file changes is taken up without a reload.
//! Never speaks HTTP. [`crate::acme`] feeds the same store.

mod certificates;
mod digest;
mod handshake;
mod name;

pub use certificates::{
    CaError, CertSource, CertStatus, CertStore, CertificateError, Content, InternalCa, IssuedState, KeyType,
    LoadedCertificate, Root, WantedCertificate, load, parse, survey, unfit_now,
};
pub use handshake::{BadClientCert, ExportedKeys, Handshake, HandshakeError, NoKey, Rules, TicketKeys, Tls};
