//! The handshake: ClientHello first, then the certificate it asks for, all within one deadline.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{Acceptor, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, crypto::aws_lc_rs, version};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::store::CertStore;
use crate::challenge::{ALPN, Challenges};
use crate::config::{self, TlsVersion};

/// What a handshake needs; shared by all cores.
pub struct Tls {
    store: Arc<CertStore>,
    challenges: Arc<Challenges>,
    config: ArcSwap<ServerConfig>,
    ticketer: Arc<dyn rustls::server::ProducesTickets>,
}

/// A client that is through.
pub struct Handshake<T> {
    pub stream: TlsStream<T>,
    /// RFC 6066, 3; in lower case.
    pub sni: Option<Box<str>>,
    pub h2: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("no handshake within {0:?}")]
    Timeout(Duration),
    /// It has seen what it came for; there is nothing more to say.
    #[error("an authority has validated a name")]
    Validated,
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Tls {
    pub fn new(
        store: Arc<CertStore>,
        challenges: Arc<Challenges>,
        config: &config::Tls,
    ) -> Result<Self, rustls::Error> {
        let ticketer = aws_lc_rs::Ticketer::new()?;
        let server = server_config(&store, &ticketer, config)?;
        Ok(Self { store, challenges, config: ArcSwap::from_pointee(server), ticketer })
    }

    /// New handshakes follow `config`; ticket keys stay.
    pub fn reconfigure(&self, config: &config::Tls) -> Result<(), rustls::Error> {
        self.config.store(Arc::new(server_config(&self.store, &self.ticketer, config)?));
        Ok(())
    }

    pub fn store(&self) -> &Arc<CertStore> {
        &self.store
    }

    /// The whole handshake within `limit`.
    pub async fn accept<T>(&self, io: T, local: Option<IpAddr>, limit: Duration) -> Result<Handshake<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        match tokio::time::timeout(limit, self.handshake(io, local)).await {
            Ok(done) => done,
            Err(_) => Err(HandshakeError::Timeout(limit)),
        }
    }

    async fn handshake<T>(&self, io: T, local: Option<IpAddr>) -> Result<Handshake<T>, HandshakeError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        if let Some(config) = self.challenge(&hello.client_hello()) {
            hello.into_stream(config).await?.shutdown().await?;
            return Err(HandshakeError::Validated);
        }
        let sni = hello.client_hello().server_name().map(|name| name.to_ascii_lowercase().into_boxed_str());
        let config = self.config_for(sni.as_deref(), local);
        let stream = hello.into_stream(config).await?;
        let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Handshake { stream, sni, h2 })
    }

    /// For who asks for [`ALPN`] and nothing else, by a name that is being validated (RFC 8737, 3). Whoever asks without need
    /// is told that there is no such protocol.
    fn challenge(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(ALPN) || protocols.next().is_some() {
            return None;
        }
        let certificate = self.challenges.certificate(&hello.server_name()?.to_ascii_lowercase())?;
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().ok()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(Fixed(certificate)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Some(Arc::new(config))
    }

    /// The shared config picks by SNI; who names nobody gets one bound to the address it came to.
    fn config_for(&self, sni: Option<&str>, local: Option<IpAddr>) -> Arc<ServerConfig> {
        let shared = self.config.load_full();
        if sni.is_some() {
            return shared;
        }
        let Some(key) = self.store.find_unnamed(local) else { return shared };
        let mut unnamed = ServerConfig::clone(&shared);
        unnamed.cert_resolver = Arc::new(Fixed(key));
        Arc::new(unnamed)
    }
}

fn server_config(
    store: &Arc<CertStore>,
    ticketer: &Arc<dyn rustls::server::ProducesTickets>,
    config: &config::Tls,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&SupportedProtocolVersion] = match config.min_version {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName(store.clone())));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    server.ticketer = ticketer.clone();
    server.send_tls13_tickets = 1;
    Ok(server)
}

struct ByName(Arc<CertStore>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?;
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            return self.0.find(&name.to_ascii_lowercase());
        }
        self.0.find(name)
    }
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByName")
    }
}

#[derive(Debug)]
struct Fixed(Arc<CertifiedKey>);

impl ResolvesServerCert for Fixed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
