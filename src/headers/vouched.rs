//! Fields that a backend takes for our own word: no one outside may send them, in the head or in trailers.

use http::header::HeaderName;

use super::client_cert;

/// What no one outside may say, trusted or not.
pub(super) fn is_vouched(name: &HeaderName) -> bool {
    is_alias(name) || client_cert::is_one(name)
}

/// Anything but letters, digits and hyphens becomes `_` in CGI, WSGI, Rack and PHP, as a hyphen does: nginx's
/// `underscores_in_headers off` and `ignore_invalid_headers on`. `Proxy` would become HTTP_PROXY ("httpoxy").
fn is_alias(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "proxy" || !name.bytes().all(|byte| PLAIN[usize::from(byte)])
}

static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'-');
        byte += 1;
    }
    plain
};
