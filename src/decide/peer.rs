//! Where a request came from.

use std::net::IpAddr;

use crate::headers::ClientCert;
use crate::site::Site;
use crate::snapshot::Snapshot;
use crate::trust::ClientProof;
use crate::types::TlsVersion;

/// Where a request came from: what its connection knows.
#[derive(Debug)]
pub struct Peer {
    /// The other end, as PROXY protocol said where it is in use.
    pub ip: IpAddr,
    pub tls: bool,
    /// `None` without TLS.
    pub tls_version: Option<TlsVersion>,
    /// RFC 6066, 3; in the normal form of hosts.
    pub sni: Option<Box<str>>,
    /// What the client has shown in its handshake; `None`: nothing was asked.
    pub proof: Option<Box<ClientProof>>,
    /// The certificate that it has shown, for the backend.
    pub client_cert: Option<Box<ClientCert>>,
    /// The port the client connected to.
    pub port: u16,
}

impl Peer {
    /// Whether `site` takes its requests, by what it has shown in its handshake. With a name in it, that was a handshake for this
    /// very site.
    pub fn satisfies(&self, site: &Site) -> bool {
        site.admits(self.proof.as_deref(), self.sni.is_some())
    }

    /// Whether the site of one of its exchanges still takes requests of it: a reload or new roots may have changed what is asked
    /// of clients. A site that is gone asks nothing.
    pub fn still_fits(&self, snapshot: &Snapshot, site: &str) -> bool {
        let site = match &self.sni {
            // Its requests are for the site of its handshake alone.
            Some(sni) => snapshot.sites.find(sni).map(|index| snapshot.sites.at(index)),
            None => snapshot.sites.iter().find(|known| *known.name == *site),
        };
        site.is_none_or(|site| self.satisfies(site))
    }
}
