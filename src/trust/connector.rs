//! pingora's connector, made of roots that are already in memory.
//!
//! pingora takes roots as the path of a file alone and panics on one that it can't use. So it gets a file that exists in
//! memory only, with nothing in it but certificates that were checked before. Roots given for each peer would do without a
//! file, but pingora then builds a TLS config for each connection, and no session is ever resumed.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use rustix::fs::{MemfdFlags, memfd_create};
use rustls::pki_types::CertificateDer;

use super::roots::Roots;

/// The kernel gave no file in memory: without `/proc`, say.
#[derive(Debug, thiserror::Error)]
#[error("cannot hand the roots to the TLS client: {0}; is /proc mounted?")]
pub struct ConnectorError(#[from] io::Error);

/// Connections kept by pingora itself: none. The pool is ours ([`crate::upstream`]).
const POOLED: usize = 0;

/// For backends without TLS: it has no roots. Reads no file.
pub fn plain_connector() -> Result<TransportConnector, ConnectorError> {
    made_of(&[])
}

/// For backends for which these roots vouch.
pub(super) fn connector(roots: &Roots) -> Result<TransportConnector, ConnectorError> {
    made_of(roots.certificates())
}

fn made_of(certificates: &[CertificateDer<'static>]) -> Result<TransportConnector, ConnectorError> {
    let text = pem(certificates);
    let mut file = File::from(memfd_create("roots", MemfdFlags::CLOEXEC).map_err(io::Error::from)?);
    file.write_all(text.as_bytes())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // pingora would panic.
    if std::fs::read(&path)? != text.as_bytes() {
        return Err(io::Error::other(format!("{path} is another file")).into());
    }
    let mut options = ConnectorOptions::new(POOLED);
    options.ca_file = Some(path);
    Ok(TransportConnector::new(Some(options)))
}

fn pem(certificates: &[CertificateDer<'static>]) -> String {
    let mut text = String::new();
    for certificate in certificates {
        // RFC 7468 wants lines of 64 characters; parsers of PEM do not.
        let _ = writeln!(text, "-----BEGIN CERTIFICATE-----\n{}", BASE64.encode(certificate));
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}
