//! Answers to challenges: which kind is tried, and how it is put where the authority looks.

use std::path::Path;
use std::sync::Arc;

use instant_acme::{ChallengeType, KeyAuthorization};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use crate::acme::authority::{AcmeFailure, FailureKind};
use crate::challenge::{ChallengeAnswer, Challenges};
use crate::config::AcmeChallenge;

/// The kind to try: in the config's order, another one after each failure. `None`: the authority offers none of them.
pub fn choose(preferred: &[AcmeChallenge], offered: &[AcmeChallenge], failures: u32) -> Option<AcmeChallenge> {
    let usable: Vec<AcmeChallenge> = preferred.iter().copied().filter(|kind| offered.contains(kind)).collect();
    usable.get(failures as usize % usable.len().max(1)).copied()
}

pub fn kind_of(kind: &ChallengeType) -> Option<AcmeChallenge> {
    match kind {
        ChallengeType::TlsAlpn01 => Some(AcmeChallenge::TlsAlpn01),
        ChallengeType::Http01 => Some(AcmeChallenge::Http01),
        ChallengeType::Dns01 => Some(AcmeChallenge::Dns01),
        _ => None,
    }
}

pub fn type_of(kind: AcmeChallenge) -> ChallengeType {
    match kind {
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::Dns01 => ChallengeType::Dns01,
    }
}

pub fn name_of(kind: AcmeChallenge) -> &'static str {
    match kind {
        AcmeChallenge::TlsAlpn01 => "tls-alpn-01",
        AcmeChallenge::Http01 => "http-01",
        AcmeChallenge::Dns01 => "dns-01",
    }
}

/// Where dns-01 looks (RFC 8555, 8.4).
pub fn record_of(name: &str) -> String {
    format!("_acme-challenge.{}", name.trim_start_matches("*."))
}

/// On the plain listeners, until it is dropped.
pub fn by_token(challenges: &Arc<Challenges>, token: &str, key: &KeyAuthorization) -> ChallengeAnswer {
    challenges.answer_token(token, key.as_str().to_owned())
}

/// On the TLS listeners, until it is dropped.
pub fn by_certificate(
    challenges: &Arc<Challenges>,
    name: &str,
    key: &KeyAuthorization,
) -> Result<ChallengeAnswer, AcmeFailure> {
    let certificate = certificate(name, key.digest().as_ref());
    let certificate = certificate.map_err(|why| AcmeFailure::new(FailureKind::Local, format!("tls-alpn-01: {why}")))?;
    Ok(challenges.answer_name(name, Arc::new(certificate)))
}

/// Self-signed, with the digest in the extension id-pe-acmeIdentifier (RFC 8737, 3).
pub fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let digest: &[u8; 32] = digest.try_into().map_err(|_| "the digest is not SHA-256")?;
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|e| e.to_string())?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let leaf = params.self_signed(&key).map_err(|e| e.to_string())?;
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let signer = aws_lc_rs::sign::any_supported_type(&private).map_err(|e| e.to_string())?;
    // Not `from_der`, which refuses a critical extension that it does not know, such as acmeIdentifier.
    Ok(CertifiedKey::new(vec![leaf.der().clone()], signer))
}

/// The program for dns-01; a config that lets it be chosen has one.
pub fn hook(program: Option<&Path>) -> Result<&Path, AcmeFailure> {
    program.ok_or_else(|| AcmeFailure::new(FailureKind::Local, "dns-01 needs acme.dns_hook"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_for_tls_alpn_01_can_be_made() {
        let made = certificate("shop.example.com", &[7; 32]).unwrap();
        assert_eq!(made.cert.len(), 1);
        assert!(certificate("shop.example.com", &[7; 31]).is_err());
    }

    #[test]
    fn the_next_kind_is_tried_after_a_failure() {
        use AcmeChallenge::{Dns01, Http01, TlsAlpn01};
        let preferred = [TlsAlpn01, Http01];
        let offered = [Http01, Dns01, TlsAlpn01];
        let tried: Vec<_> = (0..3).map(|failures| choose(&preferred, &offered, failures).unwrap()).collect();
        assert_eq!(tried, [TlsAlpn01, Http01, TlsAlpn01]);
        assert_eq!(choose(&preferred, &[Http01], 1), Some(Http01));
        assert_eq!(choose(&preferred, &[Dns01], 0), None, "a wildcard without dns-01");
        assert_eq!(record_of("*.example.com"), "_acme-challenge.example.com");
    }
}
