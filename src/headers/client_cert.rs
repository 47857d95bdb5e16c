//! What the backend is told about a client's certificate: X-Client-Cert-Subject, -Issuer, -Serial and -SHA256.
//!
//! Only a verified certificate gets here; without one, none of the fields is sent. Fields of such a name that come from outside
//! are cut, on every site, from trusted proxies too.

use http::header::{HeaderMap, HeaderName, HeaderValue};

const SUBJECT: HeaderName = HeaderName::from_static("x-client-cert-subject");
const ISSUER: HeaderName = HeaderName::from_static("x-client-cert-issuer");
const SERIAL: HeaderName = HeaderName::from_static("x-client-cert-serial");
const SHA256: HeaderName = HeaderName::from_static("x-client-cert-sha256");

/// One verified certificate, as values ready to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCert {
    /// RFC 4514: most specific first, escaped, ASCII alone. Empty when the certificate has its names elsewhere.
    pub subject: HeaderValue,
    /// As `subject`.
    pub issuer: HeaderValue,
    /// Hexadecimal, upper case; nginx: `$ssl_client_serial`.
    pub serial: HeaderValue,
    /// Of the whole certificate (DER): hexadecimal, lower case. Tells one certificate from any other.
    pub sha256: HeaderValue,
}

impl ClientCert {
    /// Sets each field, exactly once.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(SUBJECT, self.subject.clone());
        headers.insert(ISSUER, self.issuer.clone());
        headers.insert(SERIAL, self.serial.clone());
        headers.insert(SHA256, self.sha256.clone());
    }
}

/// Any name of the kind, also those that don't exist yet.
pub(super) fn is_one(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-client-cert")
}
