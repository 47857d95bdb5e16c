//! The client's address, behind trusted proxies.
//!
//! X-Forwarded-For, or where there is none Forwarded (RFC 7239), is read from its right end, where the proxies nearest to us wrote: everything left of the first untrusted
//! address may be made up. nginx: `real_ip_recursive on`. Never believes an untrusted
//! peer.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

use crate::headers::names::X_FORWARDED_FOR;

/// The rightmost entry that isn't a trusted proxy, if the peer is one; else the peer.
///
/// An empty entry is none (RFC 9110, 5.6.1.2). One that is no address ends the search: the proxy that let it pass is taken as the client. IPv4-mapped
/// addresses come out as IPv4.
pub fn client_ip(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
    if headers.contains_key(X_FORWARDED_FOR) {
        let entries = values.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b','));
        return rightmost(peer, trusted, entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()));
    }
    let values = headers.get_all(FORWARDED).iter().rev();
    let elements = values.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    rightmost(
        peer,
        trusted,
        elements.filter(|element| !element.is_empty()).map(|element| node(element).unwrap_or_default()),
    )
}

fn rightmost<'h>(peer: IpAddr, trusted: &[IpNet], entries: impl Iterator<Item = &'h [u8]>) -> IpAddr {
    let mut client = peer;
    for entry in entries {
        let Some(ip) = address(entry) else { break };
        client = ip;
        if !is_trusted(ip, trusted) {
            break;
        }
    }
    client
}

/// The value of `for` in an element of Forwarded, without its quotes. A comma within quotes ends the element here: then it is no
/// address, as an obfuscated one is none.
fn node(element: &[u8]) -> Option<&[u8]> {
    let mut pairs = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| {
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })?;
    Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
}

pub(super) fn is_trusted(ip: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&ip))
}

/// `192.0.2.1`, `192.0.2.1:1234`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:1234`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = match text.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((v4, port)) if !port.contains(':') => v4,
            _ => text,
        },
    };
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}
