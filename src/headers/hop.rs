//! Fields that belong to one connection end here (RFC 9110 section 7.6.1).
//!
//! Both ways: Connection with every field it names, Keep-Alive, Proxy-Connection, Transfer-Encoding, Upgrade, TE and
//! the proxy authentication fields. Trailer stays where trailers do: it announces what the body really carries. Says what was asked for
//! (an upgrade, trailers, no buffering), so that the caller can ask the next hop anew. Never adds a field.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::answer_length::{self, AnswerLength};
use super::names;

/// What the removed fields asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hop {
    /// The Upgrade value, when Connection named it. `h2c` is no upgrade here: relayed, it would open an unfiltered
    /// tunnel to the backend.
    pub upgrade: Option<HeaderValue>,
    /// The client takes trailers (`TE: trailers`); gRPC backends want to be told.
    pub te_trailers: bool,
}

/// Connection may not ask for that: answer 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadConnection {
    /// It named a field that is meant for everyone on the way, or that this proxy vouches for.
    #[error("connection header names a field that must reach the backend")]
    Reserved,
    /// More than 32 names: honest clients need fewer, and each costs a look-up.
    #[error("connection header names too many fields")]
    TooMany,
}

const MOST_NOMINATIONS: usize = 32;

/// Cuts the client's connection fields off a request.
pub fn strip_request(headers: &mut HeaderMap) -> Result<Hop, BadConnection> {
    let mut hop = Hop::default();
    let nominated = match names_fields(headers) {
        false => Nominated::default(),
        true => nominations(headers)?,
    };
    let present = Present::among(headers);
    if present.has(Present::TE) {
        hop.te_trailers = accepts_trailers(headers);
    }
    if present.has(Present::UPGRADE) && nominated.upgrade {
        hop.upgrade = upgrade(headers);
    }
    present.remove_from(headers);
    for name in nominated.names {
        headers.remove(name);
    }
    Ok(hop)
}

/// What an answer's removed fields have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHop {
    pub length: AnswerLength,
    /// `X-Accel-Buffering: no`, which nginx has from its backends, too.
    pub unbuffered: bool,
}

/// Cuts the backend's connection fields off a response, and settles how long its body is. What it names wrongly is kept: the
/// backend is ours, and a cut Content-Length or Set-Cookie would harm its client. `takes_trailers`: the client gets them; else they are
/// not announced either.
pub fn strip_response(headers: &mut HeaderMap, takes_trailers: bool) -> AnswerHop {
    let nominated = match names_fields(headers) {
        false => Vec::new(),
        true => nominated_by_backend(headers),
    };
    let present = Present::among(headers);
    let length = answer_length::settle(headers, present.has(Present::TRANSFER_ENCODING));
    let mut unbuffered = false;
    if present.has(Present::X_ACCEL_BUFFERING) {
        let said = headers.remove(names::X_ACCEL_BUFFERING);
        unbuffered = said.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"no"));
    }
    if present.has(Present::TRAILER) && !takes_trailers {
        headers.remove(header::TRAILER);
    }
    present.remove_from(headers);
    for name in nominated {
        headers.remove(name);
    }
    AnswerHop { length, unbuffered }
}

/// The fields Connection names, apart from those cut anyway.
#[derive(Debug, Default)]
struct Nominated {
    names: Vec<HeaderName>,
    upgrade: bool,
}

fn nominations(headers: &HeaderMap) -> Result<Nominated, BadConnection> {
    let mut nominated = Nominated::default();
    for (count, name) in connection_options(headers).enumerate() {
        if count == MOST_NOMINATIONS {
            return Err(BadConnection::TooMany);
        }
        if name.eq_ignore_ascii_case(b"upgrade") {
            nominated.upgrade = true;
        } else if name.starts_with(b":") {
            return Err(BadConnection::Reserved);
        } else if let Ok(name) = HeaderName::from_bytes(name) {
            if is_reserved(name.as_str()) {
                return Err(BadConnection::Reserved);
            }
            nominated.names.push(name);
        }
    }
    Ok(nominated)
}

fn nominated_by_backend(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = connection_options(headers).take(MOST_NOMINATIONS);
    names.filter_map(|name| HeaderName::from_bytes(name).ok()).filter(|name| !is_reserved(name.as_str())).collect()
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::CONNECTION).iter().flat_map(members)
}

/// Fields that Connection must not remove: they are meant for all recipients, or this proxy vouches for them.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "authorization"
            | "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "forwarded"
            | "set-cookie"
            | "traceparent"
            | "tracestate"
            | "x-real-ip"
            | "x-request-id"
    ) || name.starts_with("x-forwarded-")
        || name.starts_with("x-client-cert-")
}

/// Whether Connection says more than what clients send if they send any: one `keep-alive` or `close`.
fn names_fields(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONNECTION).iter();
    match (values.next(), values.next()) {
        (None, _) => false,
        (Some(only), None) => {
            let only = only.as_bytes();
            !only.eq_ignore_ascii_case(b"keep-alive") && !only.eq_ignore_ascii_case(b"close")
        }
        _ => true,
    }
}

/// The fields that are cut whether Connection names them or not.
static HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("http2-settings"),
];

/// Which of [`HOP_BY_HOP`] a message has, a bit each; and what only answers have.
#[derive(Debug, Clone, Copy)]
struct Present(u16);

impl Present {
    const TE: u16 = 1 << 1;
    const TRANSFER_ENCODING: u16 = 1 << 2;
    const UPGRADE: u16 = 1 << 3;
    const TRAILER: u16 = 1 << 10;
    const X_ACCEL_BUFFERING: u16 = 1 << 11;

    /// One walk over the names is cheaper than ten look-ups that mostly find nothing.
    fn among(headers: &HeaderMap) -> Self {
        let bit = |name: &HeaderName| match name.as_str() {
            "connection" => 1,
            "te" => Self::TE,
            "transfer-encoding" => Self::TRANSFER_ENCODING,
            "upgrade" => Self::UPGRADE,
            "proxy-authenticate" => 1 << 4,
            "proxy-authorization" => 1 << 5,
            "keep-alive" => 1 << 6,
            "proxy-connection" => 1 << 7,
            "proxy-authentication-info" => 1 << 8,
            "http2-settings" => 1 << 9,
            "trailer" => Self::TRAILER,
            "x-accel-buffering" => Self::X_ACCEL_BUFFERING,
            _ => 0,
        };
        Self(headers.keys().fold(0, |bits, name| bits | bit(name)))
    }

    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    fn remove_from(self, headers: &mut HeaderMap) {
        for (index, name) in HOP_BY_HOP.iter().enumerate() {
            if self.has(1 << index) {
                headers.remove(name);
            }
        }
    }
}

fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(header::UPGRADE)?;
    let h2c = members(value).any(|protocol| protocol.eq_ignore_ascii_case(b"h2c"));
    (!h2c).then(|| value.clone())
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::TE).iter().flat_map(members);
    codings
        .map(|coding| coding.split(|&byte| byte == b';').next().unwrap_or(coding))
        .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

/// The members of a comma-separated field, empty ones left out.
fn members(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let members = value.as_bytes().split(|&byte| byte == b',');
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests;
