//! What the backend is told about the client, and which peers' words count for it.
//!
//! Sets X-Request-ID, X-Forwarded-For, -Proto, -Host and -Port, X-Real-IP and traceparent, each exactly once, and -Prefix where a prefix is cut. From a
//! peer that isn't trusted nothing of the kind is taken over; from anyone, X-Client-Cert-* and names that a CGI-like backend
//! can't tell from ours (`X_Forwarded_For`) are dropped. Values that don't change within a connection are made once, in
//! [`ForwardedSender`]. Which id a request has is decided before: [`crate::http`].

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::client_cert::ClientCert;
use super::names::{
    TRACEPARENT, TRACESTATE, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT, X_FORWARDED_PREFIX,
    X_FORWARDED_PROTO, X_REAL_IP, X_REQUEST_ID,
};
use super::trace::TraceParent;
use super::vouched::is_vouched;

pub use client::client_ip;
pub use scheme::claims_https;

mod client;
mod scheme;

/// The other end of one connection, with its values ready to send.
#[derive(Debug, Clone)]
pub struct ForwardedSender {
    peer: IpAddr,
    address: HeaderValue,
    scheme: HeaderValue,
    port: HeaderValue,
}

impl ForwardedSender {
    /// `peer` is the address that connected (or that the PROXY protocol names), `port` the one it connected to.
    pub fn new(peer: IpAddr, port: u16, tls: bool) -> Self {
        let peer = peer.to_canonical();
        Self {
            peer,
            address: ip_value(peer),
            scheme: HeaderValue::from_static(if tls { "https" } else { "http" }),
            port: HeaderValue::from(port),
        }
    }

    /// The peer's address, an IPv4-mapped one as IPv4.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }
}

/// What is known about one request when it is sent on.
#[derive(Debug, Clone, Copy)]
pub struct Forward<'a> {
    pub sender: &'a ForwardedSender,
    /// Whether the peer is a proxy that is believed.
    pub trusted: bool,
    /// What [`client_ip`] found.
    pub client: IpAddr,
    pub request_id: &'a HeaderValue,
    /// The host the client asked for, before the service's `host` setting. HTTP/1.0 may ask for none.
    pub host: Option<&'a HeaderValue>,
    /// The prefix that the path has lost here.
    pub stripped: Option<&'a HeaderValue>,
    /// The certificate of the client, where the site asks for one and it has shown one.
    pub client_cert: Option<&'a ClientCert>,
}

impl Forward<'_> {
    /// Rewrites the request's fields for the backend; returns the trace the request belongs to.
    pub fn apply(&self, headers: &mut HeaderMap) -> TraceParent {
        drop_aliases_and_claims(headers, self.trusted);
        headers.reserve(7);
        if self.trusted {
            self.extend_claims(headers);
        } else {
            self.replace_claims(headers);
        }
        headers.insert(X_REQUEST_ID, self.request_id.clone());
        if let Some(stripped) = self.stripped {
            let prefix = self.prefix(headers, stripped);
            headers.insert(X_FORWARDED_PREFIX, prefix);
        }
        let trace = self.trace(headers);
        headers.insert(TRACEPARENT, trace.value().clone());
        if let Some(cert) = self.client_cert {
            cert.tell(headers);
        }
        trace
    }

    fn replace_claims(&self, headers: &mut HeaderMap) {
        let ForwardedSender { address, scheme, port, .. } = self.sender;
        headers.insert(X_FORWARDED_FOR, address.clone());
        headers.insert(X_REAL_IP, address.clone());
        headers.insert(X_FORWARDED_PROTO, scheme.clone());
        if let Some(host) = self.host {
            headers.insert(X_FORWARDED_HOST, host.clone());
        }
        headers.insert(X_FORWARDED_PORT, port.clone());
    }

    /// What a trusted proxy says stays if it is well-formed; the peer's own address is appended.
    fn extend_claims(&self, headers: &mut HeaderMap) {
        let ForwardedSender { address, scheme, port, .. } = self.sender;
        let way = appended(headers, address);
        let claimed = claims_https(headers);
        let default_port = match claimed {
            Some(true) => HeaderValue::from_static("443"),
            Some(false) => HeaderValue::from_static("80"),
            None => port.clone(),
        };
        let claimed = claimed.map(|https| HeaderValue::from_static(if https { "https" } else { "http" }));
        let port = sole(headers, &X_FORWARDED_PORT, is_port).unwrap_or(default_port);
        let host = sole(headers, &X_FORWARDED_HOST, is_host).or_else(|| self.host.cloned());
        headers.remove(X_FORWARDED_HOST);
        headers.insert(X_FORWARDED_FOR, way);
        headers.insert(X_REAL_IP, ip_value(self.client.to_canonical()));
        headers.insert(X_FORWARDED_PROTO, claimed.unwrap_or_else(|| scheme.clone()));
        if let Some(host) = host {
            headers.insert(X_FORWARDED_HOST, host);
        }
        headers.insert(X_FORWARDED_PORT, port);
    }

    /// What the proxies before us have cut comes first.
    fn prefix(&self, headers: &HeaderMap, stripped: &HeaderValue) -> HeaderValue {
        let before = sole(headers, &X_FORWARDED_PREFIX, is_prefix).filter(|_| self.trusted);
        let joined = before.and_then(|before| {
            let before = before.to_str().ok()?.trim_end_matches('/').to_owned();
            HeaderValue::try_from(before + stripped.to_str().ok()?).ok()
        });
        joined.unwrap_or_else(|| stripped.clone())
    }

    /// A trace that is started here has no history: tracestate goes (W3C Trace Context section 3.3).
    fn trace(&self, headers: &mut HeaderMap) -> TraceParent {
        if !self.trusted {
            return TraceParent::start();
        }
        let sent = sole(headers, &TRACEPARENT, |_| true);
        sent.as_ref().and_then(TraceParent::parse).unwrap_or_else(|| {
            headers.remove(TRACESTATE);
            TraceParent::start()
        })
    }
}

/// One walk over the names drops fields that a backend could take for ours, or for the answer of a verifier before it.
fn drop_aliases_and_claims(headers: &mut HeaderMap, trusted: bool) {
    let dropped: SmallVec<[HeaderName; 4]> =
        headers.keys().filter(|name| is_vouched(name) || (!trusted && is_claim(name))).cloned().collect();
    for name in &dropped {
        headers.remove(name);
    }
}

/// What only a trusted peer may say. Ours among them are replaced anyway.
fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    match name.as_bytes() {
        [b'x', b'-', ..] => name.starts_with("x-forwarded"),
        _ => name == "forwarded" || name == "tracestate",
    }
}

/// The X-Forwarded-For of all proxies before, then the peer.
fn appended(headers: &HeaderMap, peer: &HeaderValue) -> HeaderValue {
    let mut way = Vec::with_capacity(64);
    for part in headers.get_all(X_FORWARDED_FOR) {
        if !part.as_bytes().trim_ascii().is_empty() {
            way.extend_from_slice(part.as_bytes());
            way.extend_from_slice(b", ");
        }
    }
    way.extend_from_slice(peer.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(way)).unwrap_or_else(|_| peer.clone())
}

/// The field's value if there is exactly one and it is sane.
fn sole(headers: &HeaderMap, name: &HeaderName, is_sane: impl Fn(&[u8]) -> bool) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    (values.next().is_none() && is_sane(value.as_bytes())).then(|| value.clone())
}

fn is_port(value: &[u8]) -> bool {
    str::from_utf8(value).is_ok_and(|text| text.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_host(value: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(byte);
    !value.is_empty() && value.len() <= 260 && value.iter().all(allowed)
}

fn is_prefix(value: &[u8]) -> bool {
    value.starts_with(b"/") && value.iter().all(u8::is_ascii_graphic)
}

/// An address is always a valid value; the fallback says "unknown" as RFC 7239 does.
fn ip_value(ip: IpAddr) -> HeaderValue {
    HeaderValue::try_from(ip.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests;
