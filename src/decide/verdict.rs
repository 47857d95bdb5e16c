//! The decision over one request's head.

use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Version, header};

use super::host::host_of;
use super::location;
use super::peer::Peer;
use crate::config::SiteTls;
use crate::error::Failure;
use crate::headers::client_ip;
use crate::site::{Route, RouteAction, normalized};
use crate::snapshot::Snapshot;

/// A request that is understood: its client, its route, and what to do with it.
#[derive(Debug)]
pub struct Decision<'s> {
    pub client: IpAddr,
    /// Whether the peer's own X-Forwarded-*, X-Request-ID and traceparent count.
    pub trusted: bool,
    /// The route that answers; before one is found the site's last one, before a site is found the snapshot's stray one.
    pub route: &'s Arc<Route>,
    pub verdict: RequestVerdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestVerdict {
    /// What the route says.
    Pass,
    Refuse(Failure),
    /// To another place, with the method kept unless it is GET or HEAD (RFC 9110, 15.4.9).
    Redirect(String),
}

/// Decides in this order: framing, host, site, TLS, client certificate, canonical host, path, method, address, announced body size.
pub fn decide<'s>(snapshot: &'s Snapshot, head: &Parts, peer: &Peer) -> Decision<'s> {
    let trusted_nets = &snapshot.config.server.trusted_proxies;
    let trusted = !trusted_nets.is_empty() && trusted_nets.iter().any(|net| net.contains(&peer.ip));
    let client = if trusted { client_ip(peer.ip, trusted_nets, &head.headers) } else { peer.ip };
    let mut decision = Decision { client, trusted, route: &snapshot.stray, verdict: RequestVerdict::Pass };
    decision.verdict = judge(snapshot, head, peer, &mut decision).unwrap_or_else(RequestVerdict::Refuse);
    decision
}

fn judge<'s>(
    snapshot: &'s Snapshot,
    head: &Parts,
    peer: &Peer,
    decision: &mut Decision<'s>,
) -> Result<RequestVerdict, Failure> {
    check_framing(head)?;
    let host = host_of(head)?;
    let unknown = if peer.tls { Failure::Misdirected } else { Failure::NoSite };
    let index = snapshot.sites.find(&host.name).ok_or(unknown)?;
    let site = snapshot.sites.at(index);
    if let Some(sni) = &peer.sni
        && **sni != *host.name
        && snapshot.sites.find(sni) != Some(index)
    {
        return Err(Failure::Misdirected);
    }
    decision.route = site.fallback();
    let wants_tls = site.tls != SiteTls::Off;
    if wants_tls != peer.tls && snapshot.serves_tls {
        return if wants_tls {
            Ok(RequestVerdict::Redirect(location::to_tls(snapshot.https_port, &host, &head.uri)))
        } else {
            Err(Failure::Misdirected)
        };
    }
    // The handshake may have been under other rules than the site's: it had no SNI, a reload came since, or there is no TLS.
    if site.client_auth.is_some() && site.client_auth != peer.client_auth {
        return Err(Failure::Misdirected);
    }
    if let Some(canonical) = &site.canonical_host
        && canonical.as_str() != host.name
    {
        return Ok(RequestVerdict::Redirect(location::to_host(canonical.as_str(), &host, peer.tls, &head.uri)));
    }
    let path = normalized(head.uri.path()).map_err(|_| Failure::BadPath)?;
    let route = site.route(&path);
    decision.route = route;
    if matches!(head.method, Method::TRACE | Method::CONNECT) {
        return Err(Failure::MethodNotAllowed);
    }
    if !route.admits(decision.client) {
        return Err(Failure::Denied);
    }
    if announced_length(head).is_some_and(|length| length > route.body_size) {
        return Err(Failure::BodyTooLarge);
    }
    Ok(match &route.action {
        RouteAction::Redirect { to, .. } => RequestVerdict::Redirect(location::by_route(route, to, &path, &head.uri)),
        RouteAction::Service(..) | RouteAction::Respond { .. } => RequestVerdict::Pass,
    })
}

/// RFC 9112, 6.1 and 6.3. What the codec has already refused does not come here; a pair of lengths that it would have
/// merged is found by the connection's own scan of the head.
fn check_framing(head: &Parts) -> Result<(), Failure> {
    let mut encodings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(first) = encodings.next() {
        let chunked_alone = first.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
        if !chunked_alone || head.version != Version::HTTP_11 || head.headers.contains_key(header::CONTENT_LENGTH) {
            return Err(Failure::BadFraming);
        }
    }
    Ok(())
}

fn announced_length(head: &Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
