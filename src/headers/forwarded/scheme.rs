//! Whether the client has come over TLS, as a trusted proxy says it.
//!
//! X-Forwarded-Proto first, in the forms that proxies send: any case, a list with the client's end first, the schemes of WebSocket. Then
//! Forwarded (RFC 7239, 5.4). To be asked for a trusted peer alone.

use http::{HeaderMap, header};

use crate::headers::names::X_FORWARDED_PROTO;

/// `None`: it does not say, or nothing that is known.
pub fn claims_https(headers: &HeaderMap) -> Option<bool> {
    let first = |name| headers.get(name).map(|value: &http::HeaderValue| first_member(value.as_bytes()));
    match first(X_FORWARDED_PROTO) {
        Some(scheme) => is_secure(scheme),
        None => is_secure(proto(first(header::FORWARDED)?)?),
    }
}

fn is_secure(scheme: &[u8]) -> Option<bool> {
    let is_one_of = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name.as_bytes()));
    match () {
        () if is_one_of(["https", "wss"]) => Some(true),
        () if is_one_of(["http", "ws"]) => Some(false),
        () => None,
    }
}

fn first_member(list: &[u8]) -> &[u8] {
    list.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii()
}

/// The `proto` of an element of Forwarded, without quotes.
fn proto(element: &[u8]) -> Option<&[u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        name.eq_ignore_ascii_case(b"proto").then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::tests::map;

    #[test]
    fn the_scheme_is_read_in_every_form_that_proxies_send() {
        for (fields, claim) in [
            (&[("x-forwarded-proto", "https")][..], Some(true)),
            (&[("x-forwarded-proto", "HTTPS")], Some(true)),
            (&[("x-forwarded-proto", "https, http")], Some(true)),
            (&[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], Some(true)),
            (&[("x-forwarded-proto", " wss ")], Some(true)),
            (&[("x-forwarded-proto", "http")], Some(false)),
            (&[("x-forwarded-proto", "http,https")], Some(false)),
            (&[("x-forwarded-proto", "ws")], Some(false)),
            (&[("x-forwarded-proto", "gopher")], None),
            (&[("x-forwarded-proto", "")], None),
            (&[("forwarded", "for=192.0.2.1;proto=https;by=10.0.0.1, for=10.0.0.1;proto=http")], Some(true)),
            (&[("forwarded", "For=\"[2001:db8::1]\"; Proto=\"HTTP\"")], Some(false)),
            (&[("forwarded", "for=192.0.2.1")], None),
            (&[("x-forwarded-proto", "http"), ("forwarded", "proto=https")], Some(false)),
            (&[], None),
        ] {
            assert_eq!(claims_https(&map(fields)), claim, "{fields:?}");
        }
    }
}
