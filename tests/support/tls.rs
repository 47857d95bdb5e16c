//! Handshakes as a test wants them, and certificates made on the spot.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::client::Client;

/// A handshake to make.
pub struct Hello {
    to: SocketAddr,
    name: String,
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
}

/// A self-signed certificate and its key.
pub struct Identity {
    pub cert_pem: String,
    pub key_pem: String,
}

impl Hello {
    pub fn new(to: SocketAddr, name: &str, roots: RootCertStore) -> Self {
        Self { to, name: name.to_owned(), roots, versions: rustls::ALL_VERSIONS.to_vec() }
    }

    pub fn version(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    /// Trusts the roots of a PEM text too.
    pub fn trusting_root(mut self, pem: &str) -> Self {
        self.roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap));
        self
    }

    /// The certificate that the daemon shows, whoever signed it.
    pub fn shown(&self, alpn: &[&[u8]]) -> io::Result<CertificateDer<'static>> {
        let mut config = ClientConfig::clone(&self.config(alpn));
        config.dangerous().set_certificate_verifier(Arc::new(Anyone));
        Ok(self.handshake_with(Arc::new(config))?.conn.peer_certificates().unwrap()[0].clone())
    }

    pub fn trusting(mut self, identity: &Identity) -> Self {
        self.roots.add(identity.cert()).unwrap();
        self
    }

    pub fn addr(&self) -> SocketAddr {
        self.to
    }

    pub fn server_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.name.clone()).unwrap()
    }

    pub fn host(&self) -> &str {
        &self.name
    }

    pub fn config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// The handshake, then HTTP/1.1.
    pub fn connect(&self) -> io::Result<Client> {
        Ok(Client::on(self.handshake()?, &self.name))
    }

    /// The certificate that the daemon shows.
    pub fn certificate(&self) -> io::Result<CertificateDer<'static>> {
        Ok(self.handshake()?.conn.peer_certificates().unwrap()[0].clone())
    }

    fn handshake(&self) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        self.handshake_with(self.config(&[b"http/1.1"]))
    }

    fn handshake_with(&self, config: Arc<ClientConfig>) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut tls = ClientConnection::new(config, self.server_name()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(self.to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(super::wait::PATIENCE))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }
}

/// Takes any certificate.
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
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

impl Identity {
    pub fn for_names(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let cert = params.self_signed(&key).unwrap();
        Self { cert_pem: cert.pem(), key_pem: key.serialize_pem() }
    }

    pub fn cert(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.cert_pem.as_bytes()).unwrap()
    }

    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.cert()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    /// A `[[tls.certificate]]` of these files in `folder`.
    pub fn section(&self, folder: &Path, name: &str) -> String {
        let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        self.write(&cert, &key);
        format!("[[tls.certificate]]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())
    }

    pub fn write(&self, cert: &Path, key: &Path) {
        fs::write(key, &self.key_pem).unwrap();
        fs::write(cert, &self.cert_pem).unwrap();
    }
}

/// The certificates of a PEM file; none if it isn't there.
pub fn roots(pem: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if let Ok(text) = fs::read(pem) {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&text).map(Result::unwrap));
    }
    roots
}
