//! What happens to a request: a pure decision over its head, the snapshot and where it came from.
//!
//! Opens no socket, reads no clock, changes nothing; who acts on it: [`crate::http`]. Rate limits are taken there, after
//! this has let a request pass, so that a refused request costs its sender nothing of the zone.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Uri, Version, header};

use crate::config::ClientAuth;
use crate::error::Failure;
use crate::headers::{ClientCert, client_ip};
use crate::site::{Action, Route, encoded, normalized};
use crate::snapshot::Snapshot;

/// Where a request came from: what its connection knows.
#[derive(Debug)]
pub struct Peer {
    /// The other end, as PROXY protocol said where it is in use.
    pub ip: IpAddr,
    pub tls: bool,
    /// `1.2`, `1.3`.
    pub tls_version: Option<&'static str>,
    /// RFC 6066, 3; in lower case.
    pub sni: Option<Box<str>>,
    /// What the handshake asked of the client; `None`: nothing.
    pub client_auth: Option<Arc<ClientAuth>>,
    /// The certificate that the client has shown, verified by [`Peer::client_auth`].
    pub client_cert: Option<Box<ClientCert>>,
    /// The port the client connected to.
    pub port: u16,
}

/// A request understood: whose it is and what to do with it.
#[derive(Debug)]
pub struct Decision<'s> {
    pub client: IpAddr,
    /// Whether the peer's own X-Forwarded-*, X-Request-ID and traceparent count.
    pub trusted: bool,
    /// The route that answers; before one is found the site's last one, before a site is found the snapshot's stray one.
    pub route: &'s Arc<Route>,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// What the route says.
    Pass,
    Refuse(Failure),
    /// To another place, with the method kept unless it is GET or HEAD (RFC 9110, 15.4.9).
    Redirect(String),
}

/// The host a request names, without port and brackets, in lower case: as sites are found.
#[derive(Debug, PartialEq, Eq)]
pub struct Host<'a> {
    pub name: Cow<'a, str>,
    pub port: Option<u16>,
}

/// Decides in this order: framing, host, site, TLS, client certificate, canonical host, path, method, address, announced body size.
pub fn decide<'s>(snapshot: &'s Snapshot, head: &Parts, peer: &Peer) -> Decision<'s> {
    let trusted_nets = &snapshot.config.server.trusted_proxies;
    let trusted = !trusted_nets.is_empty() && trusted_nets.iter().any(|net| net.contains(&peer.ip));
    let client = if trusted { client_ip(peer.ip, trusted_nets, &head.headers) } else { peer.ip };
    let mut decision = Decision { client, trusted, route: &snapshot.stray, verdict: Verdict::Pass };
    decision.verdict = judge(snapshot, head, peer, &mut decision).unwrap_or_else(Verdict::Refuse);
    decision
}

fn judge<'s>(
    snapshot: &'s Snapshot,
    head: &Parts,
    peer: &Peer,
    decision: &mut Decision<'s>,
) -> Result<Verdict, Failure> {
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
    let wants_tls = site.tls != crate::config::SiteTls::Off;
    if wants_tls != peer.tls && snapshot.serves_tls {
        return if wants_tls {
            Ok(Verdict::Redirect(to_tls(snapshot, &host, head)))
        } else {
            Err(Failure::Misdirected)
        };
    }
    // Whatever brought the request here, the site's own rules were those of the handshake: no SNI, a reload since, no TLS.
    if site.client_auth.is_some() && site.client_auth != peer.client_auth {
        return Err(Failure::Misdirected);
    }
    if let Some(canonical) = &site.canonical_host
        && canonical.as_str() != host.name
    {
        return Ok(Verdict::Redirect(to_host(canonical.as_str(), &host, peer, head)));
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
        Action::Redirect { to, .. } => Verdict::Redirect(redirect_target(route, to, &path, &head.uri)),
        Action::Service(..) | Action::Respond { .. } => Verdict::Pass,
    })
}

/// RFC 9112, 6.1 and 6.3. What the codec has already refused does not come here; the length pair that it would have
/// merged is told by the connection's own scan of the head.
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

/// Exactly one host: the Host field, or `:authority`, or the absolute form; where two are given they agree.
pub fn host_of(head: &Parts) -> Result<Host<'_>, Failure> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = fields.next().map(|value| value.to_str().map_err(|_| Failure::BadHost)).transpose()?;
    if fields.next().is_some() {
        return Err(Failure::BadHost);
    }
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    match (field, target) {
        (Some(field), Some(target)) if !field.eq_ignore_ascii_case(target) => Err(Failure::BadHost),
        (Some(text), _) | (None, Some(text)) => parse_host(text).ok_or(Failure::BadHost),
        (None, None) => Err(Failure::BadHost),
    }
}

fn parse_host(text: &str) -> Option<Host<'_>> {
    let (name, port) = match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    let port = match port {
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    if let Some(inner) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        let address: std::net::Ipv6Addr = inner.parse().ok()?;
        return Some(Host { name: Cow::Owned(address.to_string()), port });
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > 255 || name.starts_with('.') || name.contains("..") {
        return None;
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !name.bytes().all(allowed) {
        return None;
    }
    let is_lower = !name.bytes().any(|b| b.is_ascii_uppercase());
    let name = if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) };
    Some(Host { name, port })
}

/// As a URL writes it: IPv6 in brackets.
fn in_url(name: &str) -> Cow<'_, str> {
    if name.contains(':') { Cow::Owned(format!("[{name}]")) } else { Cow::Borrowed(name) }
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |p| p.as_str())
}

fn to_tls(snapshot: &Snapshot, host: &Host<'_>, head: &Parts) -> String {
    match snapshot.https_port {
        443 => format!("https://{}{}", in_url(&host.name), path_and_query(&head.uri)),
        port => format!("https://{}:{port}{}", in_url(&host.name), path_and_query(&head.uri)),
    }
}

fn to_host(canonical: &str, host: &Host<'_>, peer: &Peer, head: &Parts) -> String {
    let scheme = if peer.tls { "https" } else { "http" };
    let port = host.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", in_url(canonical), path_and_query(&head.uri))
}

/// A prefix route whose target ends with `/` carries the rest of the path over; the query goes along.
fn redirect_target(route: &Route, to: &str, path: &str, uri: &Uri) -> String {
    let rest = if to.ends_with('/') { route.rest(path) } else { "" };
    let query = uri.query().filter(|_| !to.contains('?')).map(|q| format!("?{q}")).unwrap_or_default();
    format!("{to}{}{query}", encoded(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(build: http::request::Builder) -> Parts {
        build.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_valid_host_or_none() {
        let cases = [
            ("example.com", Some(("example.com", None))),
            ("EXAMPLE.com:8443", Some(("example.com", Some(8443)))),
            ("example.com.", Some(("example.com", None))),
            ("[::1]:443", Some(("::1", Some(443)))),
            ("127.0.0.1", Some(("127.0.0.1", None))),
            ("", None),
            (".example.com", None),
            ("a..b", None),
            ("a b", None),
            ("a/b", None),
            ("user@host", None),
            ("host:port", None),
            ("host:99999", None),
        ];
        for (text, expected) in cases {
            let parsed = parse_host(text);
            let parsed = parsed.as_ref().map(|h| (&*h.name, h.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn two_hosts_and_disagreeing_forms_are_refused() {
        let two = head(Request::builder().uri("/").header("host", "a").header("host", "a"));
        assert_eq!(host_of(&two).unwrap_err(), Failure::BadHost);
        let differs = head(Request::builder().uri("http://a/").header("host", "b"));
        assert_eq!(host_of(&differs).unwrap_err(), Failure::BadHost);
        let same = head(Request::builder().uri("http://a/").header("host", "A"));
        assert_eq!(host_of(&same).unwrap().name, "a");
        assert_eq!(host_of(&head(Request::builder().uri("/"))).unwrap_err(), Failure::BadHost);
    }

    #[test]
    fn only_chunked_alone_frames_a_body() {
        let with = |value: &str| head(Request::builder().uri("/").header("transfer-encoding", value));
        assert!(check_framing(&with("chunked")).is_ok());
        for bad in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", ""] {
            assert_eq!(check_framing(&with(bad)), Err(Failure::BadFraming), "{bad}");
        }
        let both =
            head(Request::builder().uri("/").header("transfer-encoding", "chunked").header("content-length", "3"));
        assert_eq!(check_framing(&both), Err(Failure::BadFraming));
    }
}
