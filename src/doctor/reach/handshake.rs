//! What answers tls-alpn-01: asked as an authority does (RFC 8737, 3). The nonce is in the certificate's acmeIdentifier, where
//! an authority looks for its own; nothing else of the certificate counts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::connect::{ANSWER, connect};
use super::verdict::PortAnswer;
use crate::acme::one_line;
use crate::challenge::ALPN;

/// id-pe-acmeIdentifier.
const IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";

pub async fn look(to: SocketAddr, host: &str, nonce: &[u8; 32]) -> PortAnswer {
    let stream = match connect(to).await {
        Ok(stream) => stream,
        Err(seen) => return seen,
    };
    let (config, name) = match (config(), ServerName::try_from(host.to_owned())) {
        (Ok(config), Ok(name)) => (config, name),
        (Err(error), _) => return PortAnswer::Unreachable(error.to_string()),
        (_, Err(error)) => return PortAnswer::Unreachable(error.to_string()),
    };
    match timeout(ANSWER, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Err(_) => PortAnswer::Silent,
        Ok(Err(error)) => refused(&error),
        Ok(Ok(stream)) => {
            let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            leaf.map_or_else(|| PortAnswer::Nonsense("TLS without a certificate".to_owned()), |leaf| seen(leaf, nonce))
        }
    }
}

fn seen(leaf: &CertificateDer<'_>, nonce: &[u8; 32]) -> PortAnswer {
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else {
        return PortAnswer::Nonsense("a certificate that can't be read".to_owned());
    };
    // An OCTET STRING of 32 bytes, in DER.
    let expected = [&[4, 32][..], nonce].concat();
    let carries = |extension: &x509_parser::prelude::X509Extension<'_>| {
        extension.oid.to_id_string() == IDENTIFIER && extension.value == expected
    };
    if leaf.extensions().iter().any(carries) {
        return PortAnswer::Us;
    }
    PortAnswer::Terminated { certificate: one_line(&format!("of {} by {}", leaf.subject(), leaf.issuer())) }
}

fn refused(error: &io::Error) -> PortAnswer {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
            PortAnswer::NoProtocol("there is no such protocol".to_owned())
        }
        Some(Error::AlertReceived(alert)) => PortAnswer::NoProtocol(format!("alert {alert:?}")),
        Some(Error::InvalidMessage(_)) => PortAnswer::Nonsense("no TLS".to_owned()),
        Some(other) => PortAnswer::NoProtocol(other.to_string()),
        None => PortAnswer::Nonsense(error.to_string()),
    }
}

fn config() -> Result<ClientConfig, Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// Any certificate is taken: the nonce in it decides, and nothing else is sent or believed.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
