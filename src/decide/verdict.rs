//! The decision over one request's head.

use std::sync::Arc;

use http::request::Parts;
use http::{Method, Version, header};

use super::client::Client;
use super::host::host_of;
use super::location;
use super::peer::Peer;
use crate::config::SiteTls;
use crate::error::Failure;
use crate::policy::cors::is_preflight;
use crate::site::{PathReadings, Route, RouteAction, Site};
use crate::snapshot::Snapshot;

/// A request that is understood: its client, its route, and what to do with it.
#[derive(Debug)]
pub struct Decision<'s> {
    pub client: Client,
    /// The route that answers; before one is found the site's last one, before a site is found the snapshot's stray one.
    pub route: &'s Arc<Route>,
    /// What is sent instead of the request's path: the path that was judged, where the two differ in more than their spelling.
    pub path: Option<String>,
    pub verdict: RequestVerdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestVerdict {
    /// What the route says.
    Pass,
    Refuse(Failure),
    /// A page of another origin asks what it may do.
    Preflight,
    /// To another place, with the method kept unless it is GET or HEAD (RFC 9110, 15.4.9).
    Redirect(String),
}

/// Decides in this order: target, framing, number of fields, host, site, TLS, client certificate, canonical host, path, preflight, method, address, announced
/// body size.
pub fn decide<'s>(snapshot: &'s Snapshot, head: &Parts, peer: &Peer) -> Decision<'s> {
    let client = Client::of(peer, &snapshot.config.server.trusted_proxies, &head.headers);
    let mut decision = Decision { client, route: &snapshot.stray, path: None, verdict: RequestVerdict::Pass };
    decision.verdict = judge(snapshot, head, peer, &mut decision).unwrap_or_else(RequestVerdict::Refuse);
    decision
}

fn judge<'s>(
    snapshot: &'s Snapshot,
    head: &Parts,
    peer: &Peer,
    decision: &mut Decision<'s>,
) -> Result<RequestVerdict, Failure> {
    check_target(head)?;
    check_framing(head)?;
    if head.version == Version::HTTP_2 {
        check_framing_h2(head, snapshot.config.limits.headers)?;
    }
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
    if wants_tls != peer.tls && snapshot.serves_tls && !(wants_tls && decision.client.is_https) {
        return if wants_tls {
            if host.name.is_empty() {
                return Err(Failure::BadHost);
            }
            Ok(RequestVerdict::Redirect(location::to_tls(snapshot.https_port, &host, &head.uri)))
        } else {
            Err(Failure::Misdirected)
        };
    }
    if !peer.satisfies(site) {
        return Err(not_admitted(site, peer));
    }
    if let Some(canonical) = &site.canonical_host
        && canonical.as_str() != host.name
        && !host.name.is_empty()
    {
        return Ok(RequestVerdict::Redirect(location::to_host(
            canonical.as_str(),
            &host,
            decision.client.is_https,
            &head.uri,
        )));
    }
    let readings = PathReadings::of(head.uri.path()).map_err(|_| Failure::BadPath)?;
    let route = site.route(&readings.first);
    decision.route = route;
    // The backend may read it in another way than we do.
    if readings.others.iter().any(|other| !Arc::ptr_eq(site.route(other), route)) {
        return Err(Failure::BadPath);
    }
    if readings.references.iter().any(|other| !route.covers(site.route(other))) {
        return Err(Failure::BadPath);
    }
    decision.path = readings.resolved;
    if route.cors.is_some() && is_preflight(head) {
        return if route.admits(decision.client.ip) { Ok(RequestVerdict::Preflight) } else { Err(Failure::Denied) };
    }
    if matches!(head.method, Method::TRACE | Method::CONNECT) || !route.takes(&head.method) {
        return Err(Failure::MethodNotAllowed);
    }
    if !route.admits(decision.client.ip) {
        return Err(Failure::Denied);
    }
    if announced_length(head).is_some_and(|length| length > route.body_size) {
        return Err(Failure::BodyTooLarge);
    }
    Ok(match &route.action {
        RouteAction::Redirect { to, .. } => {
            let path = decision.path.as_deref().unwrap_or(head.uri.path());
            RequestVerdict::Redirect(location::by_route(route, to, path, head.uri.query()))
        }
        RouteAction::Service(..) | RouteAction::Respond { .. } => RequestVerdict::Pass,
    })
}

/// The handshake was under other rules than the site's. It had no SNI, or there is no TLS: then the connection may serve other
/// hosts. Or it was for this very site: then the rules have changed since, and the connection is of no use any more.
fn not_admitted(site: &Site, peer: &Peer) -> Failure {
    let asked = site.clients.as_ref().map(|clients| &clients.asked);
    let was_asked = peer.proof.as_ref().is_some_and(|proof| Some(&proof.asked()) == asked);
    if peer.sni.is_some() || was_asked { Failure::ClientRulesChanged } else { Failure::Misdirected }
}

/// RFC 9112, 3.2: `*` is for OPTIONS alone, an authority without a scheme for CONNECT alone.
fn check_target(head: &Parts) -> Result<(), Failure> {
    let is_asterisk = head.uri.path() == "*";
    let is_authority = head.uri.authority().is_some() && head.uri.scheme().is_none();
    if is_asterisk && head.method != Method::OPTIONS || is_authority && head.method != Method::CONNECT {
        return Err(Failure::BadRequest);
    }
    Ok(())
}

/// RFC 9112, 6.1 and 6.3. What the codec has already refused does not come here; what it takes of two lengths, or of one that is no
/// number, is found by the connection's own scan of the head.
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

/// What under HTTP/1.1 the scan and the codec see to: one length (RFC 9113, 8.1.1), and no more fields than `most`.
fn check_framing_h2(head: &Parts, most: usize) -> Result<(), Failure> {
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(first) = lengths.next() {
        let is_number = !first.is_empty() && first.as_bytes().iter().all(u8::is_ascii_digit);
        if !is_number || lengths.next().is_some() {
            return Err(Failure::BadFraming);
        }
    }
    // Clients may send each cookie as a field of its own (8.2.3): together they are one.
    let cookies = || head.headers.get_all(header::COOKIE).iter().count();
    if head.headers.len() > most && head.headers.len() - cookies().saturating_sub(1) > most {
        return Err(Failure::HeadTooLarge);
    }
    Ok(())
}

fn announced_length(head: &Parts) -> Option<u64> {
    head.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
