//! What makes two requests the same client: the zone's key, as a keyed hash.
//!
//! The seed is random for each zone and process, so a client can't choose values that collide; with 64 bits, two of a
//! hundred thousand honest keys share a place with a probability of about 3 in ten billion. Allocates nothing. Never
//! keeps the text.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use http::HeaderMap;

use crate::config::ZoneKey;
use crate::headers::cookie;

/// What of a request can be a zone's key.
#[derive(Debug, Clone, Copy)]
pub struct LimitedClient<'a> {
    /// The client's address, trusted proxies already looked through.
    pub ip: IpAddr,
    /// Lower case, without a port: two spellings would be two keys.
    pub host: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub headers: &'a HeaderMap,
}

/// The key of `client` in a zone; `None`: it has none and isn't accounted. `client.ip` is canonical.
pub(super) fn hash(key: &ZoneKey, client: &LimitedClient<'_>, seed: &RandomState) -> Option<u64> {
    let mut hasher = seed.build_hasher();
    match key {
        ZoneKey::Ip => write_ip(&mut hasher, client.ip),
        ZoneKey::IpPath => {
            write_ip(&mut hasher, client.ip);
            hasher.write(client.path.as_bytes());
        }
        ZoneKey::Host => hasher.write(non_empty(client.host.as_bytes())?),
        ZoneKey::Header(name) => write_header(&mut hasher, client.headers, name)?,
        ZoneKey::Cookie(name) => hasher.write(non_empty(cookie(client.headers, name)?)?),
        ZoneKey::Global => {}
    }
    Some(hasher.finish())
}

/// IPv4 whole, IPv6 by its /64: what one household or host is given.
fn write_ip(hasher: &mut impl Hasher, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write_u64((v6.to_bits() >> 64) as u64),
    }
}

/// All values in order: one more header must not hide the first.
fn write_header(hasher: &mut impl Hasher, headers: &HeaderMap, name: &http::HeaderName) -> Option<()> {
    let mut found = None;
    for value in headers.get_all(name).iter().filter(|value| !value.is_empty()) {
        hasher.write(value.as_bytes());
        hasher.write_u8(0);
        found = Some(());
    }
    found
}

fn non_empty(value: &[u8]) -> Option<&[u8]> {
    (!value.is_empty()).then_some(value)
}
