//! What kind of key a certificate has: by it a client says whether it can verify the certificate.

use std::fmt;

use rustls::SignatureScheme;
use rustls::sign::SigningKey;

/// In the order in which they are preferred: smaller and faster first, RSA for those that know nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyType {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa,
}

impl KeyType {
    pub fn of(key: &dyn SigningKey) -> Self {
        let signs = |scheme| key.choose_scheme(&[scheme]).is_some();
        if signs(SignatureScheme::ECDSA_NISTP256_SHA256) {
            Self::P256
        } else if signs(SignatureScheme::ECDSA_NISTP384_SHA384) {
            Self::P384
        } else if signs(SignatureScheme::ECDSA_NISTP521_SHA512) {
            Self::P521
        } else if signs(SignatureScheme::ED25519) {
            Self::Ed25519
        } else {
            Self::Rsa
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "ECDSA P-256",
            Self::P384 => "ECDSA P-384",
            Self::P521 => "ECDSA P-521",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        })
    }
}
