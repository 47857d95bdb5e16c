//! What the backend is told about a client's certificate: X-Client-Cert-Subject, -Issuer, -Serial and -SHA256.
//!
//! Only a certificate that was verified gets here; whoever shows none has none of the fields. What comes from outside under
//! such a name is cut, on every site, from trusted proxies too.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::forwarded::is_vouched;

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

/// Some backends merge trailers into the fields of the head (RFC 9110, 6.5.1): what may not stand there may not come later.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let dropped: Vec<HeaderName> =
        trailers.keys().filter(|name| is_vouched(name) || name.as_str().starts_with("x-forwarded")).cloned().collect();
    for name in &dropped {
        trailers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::tests::{map, names};

    #[test]
    fn trailers_carry_no_claims() {
        let mut trailers = map(&[
            ("grpc-status", "0"),
            ("x-client-cert-subject", "CN=root"),
            ("x_client_cert_subject", "CN=root"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["grpc-status"]);
    }
}
