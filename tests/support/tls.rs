//! Handshakes as a test wants them, and certificates made on the spot.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, NamedGroup, RootCertStore, ServerConfig,
    SignatureScheme, StreamOwned, SupportedProtocolVersion,
};

use super::client::{Answer, Client};

/// A client's end of a connection after its handshake.
pub type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A handshake to make.
pub struct Hello {
    to: SocketAddr,
    name: String,
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
    with_sni: bool,
    shown: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// One config for all handshakes, which keeps their sessions.
    kept: Option<OnceLock<Arc<ClientConfig>>>,
}

/// How a handshake went.
#[derive(Debug)]
pub struct Shaken {
    pub resumed: bool,
    pub group: Option<NamedGroup>,
}

/// A root that signs for tests.
pub struct Root {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate, with its chain behind it, and its key.
#[derive(Clone)]
pub struct Identity {
    pub cert_pem: String,
    pub key_pem: String,
}

impl Hello {
    pub fn new(to: SocketAddr, name: &str, roots: RootCertStore) -> Self {
        Self {
            to,
            name: name.to_owned(),
            roots,
            versions: rustls::ALL_VERSIONS.to_vec(),
            with_sni: true,
            shown: None,
            kept: None,
        }
    }

    pub fn version(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    /// Trusts the roots of a PEM text too.
    pub fn trusting_root(mut self, pem: &str) -> Self {
        self.roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap));
        self
    }

    /// The certificate that the daemon shows, whatever signed it.
    pub fn shown(&self, alpn: &[&[u8]]) -> io::Result<CertificateDer<'static>> {
        let mut config = ClientConfig::clone(&self.config(alpn));
        config.dangerous().set_certificate_verifier(Arc::new(Anyone));
        Ok(self.handshake_with(Arc::new(config))?.conn.peer_certificates().unwrap()[0].clone())
    }

    pub fn trusting(mut self, identity: &Identity) -> Self {
        self.roots.add(identity.cert()).unwrap();
        self
    }

    /// Shows this certificate as the client's.
    pub fn showing(self, identity: &Identity) -> Self {
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        Self { shown: Some((identity.chain(), key)), ..self }
    }

    pub fn without_sni(self) -> Self {
        Self { with_sni: false, ..self }
    }

    /// Resumes the sessions of earlier handshakes.
    pub fn resuming(self) -> Self {
        Self { kept: Some(OnceLock::new()), ..self }
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
        match &self.kept {
            Some(kept) => kept.get_or_init(|| self.new_config(alpn)).clone(),
            None => self.new_config(alpn),
        }
    }

    fn new_config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        // As browsers do it: a key share for the hybrid group, and one for the group that every server speaks.
        let kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1];
        let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.shown {
            None => config.with_no_client_auth(),
            Some((chain, key)) => config.with_client_auth_cert(chain.clone(), key.clone_key()).unwrap(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        config.enable_sni = self.with_sni;
        Arc::new(config)
    }

    /// The handshake, one request, and how both went: under TLS 1.3 a refusal comes after the client's part of the handshake.
    pub fn ask(&self, request: &str) -> io::Result<(Answer, Shaken)> {
        let stream = self.handshake()?;
        let shaken = Shaken {
            resumed: stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
            group: stream.conn.negotiated_key_exchange_group().map(rustls::crypto::SupportedKxGroup::name),
        };
        let mut client = Client::on(stream, &self.name);
        client.send(request);
        Ok((client.try_answer().ok_or_else(|| io::Error::other("closed without an answer"))?, shaken))
    }

    /// The status of `GET /path` for this host; `None`: refused.
    pub fn status(&self, host: &str, path: &str) -> Option<u16> {
        let asked = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        asked.ok().map(|(answer, _)| answer.status)
    }

    /// The handshake; the test speaks itself.
    pub fn stream(&self, alpn: &[&[u8]]) -> TlsStream {
        self.handshake_with(self.config(alpn)).unwrap()
    }

    /// The handshake, then HTTP/1.1.
    pub fn connect(&self) -> io::Result<Client> {
        Ok(Client::on(self.handshake()?, &self.name))
    }

    /// The handshake, then whatever bytes the test sends.
    pub fn connect_as(&self, protocol: &[u8]) -> io::Result<Client> {
        Ok(Client::on(self.handshake_with(self.config(&[protocol]))?, &self.name))
    }

    /// The certificate that the daemon shows.
    pub fn certificate(&self) -> io::Result<CertificateDer<'static>> {
        Ok(self.handshake()?.conn.peer_certificates().unwrap()[0].clone())
    }

    fn handshake(&self) -> io::Result<TlsStream> {
        self.handshake_with(self.config(&[b"http/1.1"]))
    }

    fn handshake_with(&self, config: Arc<ClientConfig>) -> io::Result<TlsStream> {
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

impl Root {
    pub fn named(name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A root that this one has signed: its `pem` is an intermediate certificate.
    pub fn below(&self, name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// For a server of these names.
    pub fn sign(&self, names: &[&str]) -> Identity {
        self.sign_with(names, |_| ())
    }

    /// For a client; `change` may alter it.
    pub fn client(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        self.sign_with(&[], |params| {
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            change(params);
        })
    }

    pub fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        self.sign_key(names, &KeyPair::generate().unwrap(), change)
    }

    /// For a key of the test's own.
    pub fn sign_key(&self, names: &[&str], key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let cert_pem = params.signed_by(key, &self.issuer).unwrap().pem();
        Identity { cert_pem, key_pem: key.serialize_pem() }
    }
}

impl Identity {
    /// Sets the dates, in days from now.
    pub fn valid(params: &mut CertificateParams, from: i64, to: i64) {
        let day = |days: i64| {
            let span = std::time::Duration::from_hours(days.unsigned_abs() * 24);
            let now = std::time::SystemTime::now();
            if days < 0 { now - span } else { now + span }
        };
        (params.not_before, params.not_after) = (day(from).into(), day(to).into());
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.cert_pem.as_bytes()).map(Result::unwrap).collect()
    }

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
            .with_single_cert(self.chain(), key)
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
