//! The client's TLS, the same towards every proxy: TLS 1.3, AES-128-GCM, X25519, no resumption; and the certificate.
//!
//! One suite and one group, because each proxy's library would choose another and the figures would compare ciphers.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Buffered, because rustls alone reads 4 KiB at a time.
pub type Stream = tokio_rustls::client::TlsStream<BufReader<TcpStream>>;

/// The certificate of all proxies: ECDSA P-256, as ACME gives it. PEM.
pub struct Certificate {
    pub cert: String,
    pub key: String,
    der: CertificateDer<'static>,
}

impl Certificate {
    pub fn make(hosts: Vec<String>) -> Result<Certificate> {
        let made = rcgen::generate_simple_self_signed(hosts).context("cannot make a certificate")?;
        Ok(Certificate { cert: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() })
    }
}

/// Connects and verifies.
#[derive(Clone)]
pub struct Client {
    h1: TlsConnector,
    h2: TlsConnector,
    name: ServerName<'static>,
}

impl Client {
    pub fn new(host: &str, certificate: &Certificate) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der.clone()).context("cannot trust the certificate")?;
        let connector = |protocol: &[u8]| {
            let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.resumption = Resumption::disabled();
            config.alpn_protocols = vec![protocol.to_vec()];
            anyhow::Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Client { h1: connector(b"http/1.1")?, h2: connector(b"h2")?, name: ServerName::try_from(host.to_owned())? })
    }

    pub async fn h1(&self, addr: SocketAddr) -> Result<Stream> {
        self.connect(&self.h1, addr).await
    }

    pub async fn h2(&self, addr: SocketAddr) -> Result<Stream> {
        self.connect(&self.h2, addr).await
    }

    async fn connect(&self, connector: &TlsConnector, addr: SocketAddr) -> Result<Stream> {
        let tcp = BufReader::with_capacity(64 << 10, super::tcp(addr).await?);
        connector.connect(self.name.clone(), tcp).await.context("the TLS handshake failed")
    }
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    }
}
