//! Who has sent a request: by the connection, or by what trusted proxies say of it.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use super::peer::Peer;
use crate::headers::{claims_https, client_ip};

/// The client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    pub ip: IpAddr,
    /// Whether its peer's own X-Forwarded-*, X-Request-ID and traceparent count.
    pub is_trusted: bool,
    /// Whether it has come over TLS, to us or to a trusted proxy.
    pub is_https: bool,
}

impl Client {
    pub(super) fn of(peer: &Peer, trusted: &[IpNet], headers: &HeaderMap) -> Self {
        let is_trusted = trusted.iter().any(|net| net.contains(&peer.ip));
        if !is_trusted {
            return Self { ip: peer.ip, is_trusted, is_https: peer.tls };
        }
        let is_https = peer.tls || claims_https(headers) == Some(true);
        Self { ip: client_ip(peer.ip, trusted, headers), is_trusted, is_https }
    }
}
