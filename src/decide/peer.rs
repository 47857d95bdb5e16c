//! Where a request came from.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::ClientAuth;
use crate::headers::ClientCert;
use crate::types::TlsVersion;

/// Where a request came from: what its connection knows.
#[derive(Debug)]
pub struct Peer {
    /// The other end, as PROXY protocol said where it is in use.
    pub ip: IpAddr,
    pub tls: bool,
    /// `None` without TLS.
    pub tls_version: Option<TlsVersion>,
    /// RFC 6066, 3; in lower case.
    pub sni: Option<Box<str>>,
    /// What the handshake asked of the client; `None`: nothing.
    pub client_auth: Option<Arc<ClientAuth>>,
    /// The certificate that the client has shown, verified by [`Peer::client_auth`].
    pub client_cert: Option<Box<ClientCert>>,
    /// The port the client connected to.
    pub port: u16,
}
