//! Which TLS config a name gets: the versions of all, and what its site asks of clients.
//!
//! Sites that ask the same share one config, so a thousand sites cost what ten do. A `client_ca` without roots shuts its own sites
//! and no other: a missing file never lets a client in unverified.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ServerConfig, SupportedProtocolVersion, crypto::CryptoProvider, crypto::aws_lc_rs, crypto::aws_lc_rs::kx_group,
    version,
};

use super::tickets::{TicketKeys, Tickets};
use crate::config::{self, ClientAuth, Config, SiteTls};
use crate::site::Hosts;
use crate::tls::certificates::CertStore;
use crate::trust::{ClientRootSet, ClientRoots};
use crate::types::{TlsVersion, normal_name};

/// Prepared from one config; new handshakes follow the latest.
pub struct Rules {
    hosts: Hosts,
    /// The rules of each site, by the number that `hosts` gives.
    sites: Vec<ClientRules>,
    /// For a client without SNI, at an address that no site claims.
    unnamed: ClientRules,
}

/// What one group of sites asks of clients, and the TLS config that does it.
#[derive(Clone)]
pub(super) struct ClientRules {
    /// `None`: no certificate is asked for.
    pub roots: Option<Arc<ClientRoots>>,
    /// `None`: the sites are shut, because the `client_ca` can't be used.
    pub config: Option<Arc<ServerConfig>>,
}

/// What rules are made of, besides the config.
pub(super) struct RuleParts<'a> {
    pub store: &'a Arc<CertStore>,
    pub keys: &'a Arc<TicketKeys>,
}

impl Rules {
    pub(super) fn prepare(
        config: &Config,
        parts: &RuleParts<'_>,
        roots: &ClientRootSet,
    ) -> Result<Self, rustls::Error> {
        let mut made = RulesInTheMaking { config: &config.tls, parts, roots, classes: HashMap::new() };
        let with_tls = || config.sites.iter().filter(|site| site.tls != SiteTls::Off);
        let sites = with_tls().map(|site| made.class(site.client_auth.as_ref())).collect::<Result<_, _>>()?;
        let unnamed = made.class(config.tls.client_auth.as_ref())?;
        let hosts = Hosts::new(with_tls().map(|site| site.hosts.as_slice()).enumerate());
        Ok(Self { hosts, sites, unnamed })
    }

    /// The rules of the site that answers for the name in lower case; `None`: no site does.
    pub(super) fn named(&self, name: &str) -> Option<&ClientRules> {
        self.hosts.find(name).map(|index| &self.sites[index])
    }

    /// For a name that has a certificate but no site: the rules of `[tls]`; its requests get 421.
    pub(super) fn stranger(&self) -> &ClientRules {
        &self.unnamed
    }

    /// Whether only the catch-all site answers for the name.
    pub(super) fn is_caught(&self, name: &str) -> bool {
        self.hosts.is_caught(name)
    }

    /// A client without SNI means the address that it connected to.
    pub(super) fn unnamed(&self, local: Option<IpAddr>) -> &ClientRules {
        local.and_then(|ip| self.named(&ip.to_string())).unwrap_or(&self.unnamed)
    }
}

/// Rules in the making.
struct RulesInTheMaking<'a> {
    config: &'a config::TlsConfig,
    parts: &'a RuleParts<'a>,
    roots: &'a ClientRootSet,
    classes: HashMap<Option<Arc<ClientAuth>>, ClientRules>,
}

impl RulesInTheMaking<'_> {
    fn class(&mut self, asked: Option<&Arc<ClientAuth>>) -> Result<ClientRules, rustls::Error> {
        if let Some(known) = self.classes.get(&asked.cloned()) {
            return Ok(known.clone());
        }
        let roots = asked.and_then(|asked| self.roots.of(asked)).cloned();
        let is_shut = asked.is_some() && roots.is_none();
        let config = (!is_shut).then(|| self.server_config(roots.as_deref())).transpose()?;
        let class = ClientRules { roots, config: config.map(Arc::new) };
        self.classes.insert(asked.cloned(), class.clone());
        Ok(class)
    }

    fn server_config(&self, roots: Option<&ClientRoots>) -> Result<ServerConfig, rustls::Error> {
        let versions: &[&SupportedProtocolVersion] = match self.config.min_version {
            TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
            TlsVersion::V1_3 => &[&version::TLS13],
        };
        let (verifier, rules) = match roots {
            Some(roots) => (roots.verifier(), roots.digest()),
            None => (WebPkiClientVerifier::no_client_auth(), [0; 32]),
        };
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ByName(self.parts.store.clone())));
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        server.ticketer = Arc::new(Tickets { keys: self.parts.keys.clone(), rules });
        server.send_tls13_tickets = 1;
        // The strongest suite that both have, whatever the client prefers.
        server.ignore_client_order = true;
        Ok(server)
    }
}

/// X25519MLKEM768 first: a recording of today must not be readable with tomorrow's machines.
fn provider() -> CryptoProvider {
    let kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() }
}

/// By the name that is asked for; of several certificates the first that the client can verify. rustls tells the schemes that go with
/// the client's cipher suites, too.
struct ByName(Arc<CertStore>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.choose(&normal_name(hello.server_name()?), hello.signature_schemes())
    }
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByName")
    }
}

/// The certificate of an address, or the default one, whatever name is asked for.
pub(super) struct ByAddress {
    pub store: Arc<CertStore>,
    pub local: Option<IpAddr>,
}

impl ResolvesServerCert for ByAddress {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.store.choose_unnamed(self.local, Some(hello.signature_schemes()))
    }
}

impl std::fmt::Debug for ByAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByAddress")
    }
}

/// The same certificate for every name.
#[derive(Debug)]
pub(super) struct OneCertificate(pub Arc<CertifiedKey>);

impl ResolvesServerCert for OneCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
