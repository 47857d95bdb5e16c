//! TLS to edgectl, by the demo's own root.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::demo::stage::HOST;

/// What clients trust: the demo's own root and no other.
pub struct Trust {
    h1: TlsConnector,
    h2: TlsConnector,
}

impl Trust {
    pub fn in_root(pem: &Path) -> Result<Self, String> {
        let cannot = |e: &dyn std::fmt::Display| format!("cannot trust {}: {e}", pem.display());
        let root = CertificateDer::from_pem_file(pem).map_err(|e| cannot(&e))?;
        let mut roots = RootCertStore::empty();
        roots.add(root).map_err(|e| cannot(&e))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|e| cannot(&e))?.with_root_certificates(roots).with_no_client_auth();
        let connector = |alpn: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self { h1: connector(b"http/1.1"), h2: connector(b"h2") })
    }

    pub async fn h1(&self, listener: SocketAddr) -> Result<TokioIo<TlsStream<TcpStream>>, String> {
        connect(&self.h1, listener).await
    }

    pub async fn h2(&self, listener: SocketAddr) -> Result<TokioIo<TlsStream<TcpStream>>, String> {
        connect(&self.h2, listener).await
    }
}

async fn connect(tls: &TlsConnector, listener: SocketAddr) -> Result<TokioIo<TlsStream<TcpStream>>, String> {
    let stream = TcpStream::connect(listener).await.map_err(|e| format!("cannot connect: {e}"))?;
    stream.set_nodelay(true).map_err(|e| format!("cannot connect: {e}"))?;
    let name = ServerName::try_from(HOST).map_err(|e| e.to_string())?;
    let stream = tls.connect(name, stream).await.map_err(|e| format!("no TLS: {e}"))?;
    Ok(TokioIo::new(stream))
}
