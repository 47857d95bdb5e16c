//! The client's address, behind trusted proxies.
//!
//! X-Forwarded-For is read from its right end, where the proxies nearest to us wrote: everything left of the first untrusted
//! address may be made up. nginx: `real_ip_recursive on`. Never believes an untrusted
//! peer.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use crate::headers::names::X_FORWARDED_FOR;

/// The rightmost X-Forwarded-For entry that isn't a trusted proxy, if the peer is one; else the peer.
///
/// An entry that is no address ends the search: the proxy that let it pass is taken as the client. IPv4-mapped
/// addresses come out as IPv4.
pub fn client_ip(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
    for entry in values.flat_map(|value| value.as_bytes().rsplit(|&byte| byte == b',')) {
        let Some(ip) = address(entry) else { break };
        client = ip;
        if !is_trusted(ip, trusted) {
            break;
        }
    }
    client
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
