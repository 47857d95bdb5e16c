//! The handshake: ClientHello first, then the certificate it asks for, all within one deadline.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{Acceptor, ClientHello};
use rustls::{AlertDescription, ServerConfig, crypto::aws_lc_rs};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::clients::{self, BadClientCert};
use super::rules::{ByAddress, ClientRules, OneCertificate, RuleParts, Rules};
use super::tickets::TicketKeys;
use crate::challenge::{ALPN, Challenges};
use crate::config::Config;
use crate::headers::ClientCert;
use crate::tls::certificates::CertStore;
use crate::trust::{ClientProof, ClientRootSet, ClientRoots};
use crate::types::{TlsVersion, normal_name};

/// What a handshake needs; shared by all workers.
pub struct Tls {
    store: Arc<CertStore>,
    challenges: Arc<Challenges>,
    rules: ArcSwap<Rules>,
    tickets: Arc<TicketKeys>,
}

/// A finished handshake.
pub struct Handshake<T> {
    pub stream: TlsStream<T>,
    pub version: TlsVersion,
    /// RFC 6066, 3; in the normal form of hosts.
    pub sni: Option<Box<str>>,
    /// What the client has shown, if the site asks for it.
    pub proof: Option<Box<ClientProof>>,
    /// What its certificate says.
    pub client_cert: Option<Box<ClientCert>>,
    pub h2: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("no handshake within {0:?}")]
    Timeout(Duration),
    /// An authority has seen its answer; the connection ends here.
    #[error("an authority has validated a name")]
    Validated,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no certificate for the name that was asked for")]
    UnknownName,
    #[error("the client_ca of the site can't be used")]
    Shut,
    #[error("{0}")]
    ClientCert(#[from] BadClientCert),
}

impl Tls {
    /// With keys of its own, or those of the process before it.
    pub fn new(
        store: Arc<CertStore>,
        challenges: Arc<Challenges>,
        keys: TicketKeys,
        config: &Config,
        roots: &ClientRootSet,
    ) -> Result<Self, rustls::Error> {
        let tickets = Arc::new(keys);
        let rules = Rules::prepare(config, &RuleParts { store: &store, keys: &tickets }, roots)?;
        Ok(Self { store, challenges, rules: ArcSwap::from_pointee(rules), tickets })
    }

    /// What new handshakes shall follow. Changes nothing yet.
    pub fn prepare(&self, config: &Config, roots: &ClientRootSet) -> Result<Rules, rustls::Error> {
        Rules::prepare(config, &RuleParts { store: &self.store, keys: &self.tickets }, roots)
    }

    /// New handshakes follow `rules`; ticket keys stay. Requests on what is open are judged by the snapshot.
    pub fn install(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
    }

    pub fn store(&self) -> &Arc<CertStore> {
        &self.store
    }

    /// To be rotated now and then, and to be handed to the next process.
    pub fn tickets(&self) -> &TicketKeys {
        &self.tickets
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
        let mut hello = LazyConfigAcceptor::new(Acceptor::default(), io).await?;
        if let Some(config) = self.challenge(&hello.client_hello()) {
            hello.into_stream(config).await?.shutdown().await?;
            return Err(HandshakeError::Validated);
        }
        let sni = hello.client_hello().server_name().map(|name| Box::from(&*normal_name(name)));
        let (roots, config) = match self.choose(sni.as_deref(), local) {
            Ok(chosen) => chosen,
            Err(error) => {
                refuse(&mut hello.io, &error).await;
                return Err(error);
            }
        };
        let stream = hello.into_stream(config).await?;
        let session = stream.get_ref().1;
        let h2 = session.alpn_protocol() == Some(b"h2");
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => TlsVersion::V1_2,
            // We offer no other.
            _ => TlsVersion::V1_3,
        };
        let chain = session.peer_certificates().unwrap_or_default();
        let shown = chain.first().filter(|_| roots.is_some());
        let client_cert = shown.map(clients::describe).transpose()?.map(Box::new);
        let proof = roots.map(|roots| Box::new(ClientProof::new(roots, chain)));
        Ok(Handshake { stream, version, sni, proof, client_cert, h2 })
    }

    /// The answer for a client that offers [`ALPN`] alone, by a name that is being validated (RFC 8737, 3). Others that offer it
    /// are told that there is no such protocol.
    fn challenge(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(ALPN) || protocols.next().is_some() {
            return None;
        }
        let certificate = self.challenges.certificate(&normal_name(hello.server_name()?))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().ok()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(OneCertificate(certificate)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.send_tls13_tickets = 0;
        Some(Arc::new(config))
    }

    /// The site of the name decides what is asked of the client, and the store which certificate is shown.
    fn choose(
        &self,
        sni: Option<&str>,
        local: Option<IpAddr>,
    ) -> Result<(Option<Arc<ClientRoots>>, Arc<ServerConfig>), HandshakeError> {
        let rules = self.rules.load();
        let ClientRules { roots, config } = match sni {
            Some(name) => rules.named(name).unwrap_or(rules.stranger()),
            None => rules.unnamed(local),
        };
        let config = config.as_ref().ok_or(HandshakeError::Shut)?;
        let is_known = sni.is_some_and(|name| self.store.find(name).is_some());
        if is_known {
            return Ok((roots.clone(), config.clone()));
        }
        // The default certificate is for clients without SNI, and for names that only the catch-all site answers for.
        let local = match sni {
            None => local,
            Some(name) if rules.is_caught(name) => None,
            Some(_) => return Err(HandshakeError::UnknownName),
        };
        self.store.choose_unnamed(local, None).ok_or(HandshakeError::UnknownName)?;
        let mut fixed = ServerConfig::clone(config);
        fixed.cert_resolver = Arc::new(ByAddress { store: self.store.clone(), local });
        Ok((roots.clone(), Arc::new(fixed)))
    }
}

/// Before the server has said anything an alert is a plain record (RFC 8446, 5.1 and 6): it tells the client what is wrong.
async fn refuse(io: &mut (impl AsyncWrite + Unpin), error: &HandshakeError) {
    const FATAL: u8 = 2;
    let alert = match error {
        HandshakeError::UnknownName => AlertDescription::UnrecognisedName,
        _ => AlertDescription::InternalError,
    };
    let record = [0x15, 3, 3, 0, 2, FATAL, u8::from(alert)];
    if io.write_all(&record).await.is_ok() {
        let _ = io.shutdown().await;
    }
}
