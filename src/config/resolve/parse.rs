//! Values that several sections have: networks, header names and values, status codes, keys by header or cookie.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use crate::config::read::{Mistake, Value};

/// `10.0.0.0/8`, or one address. Bits beyond the prefix are cut, as nginx does.
pub(super) fn network(value: &Value<'_>) -> Result<IpNet, Mistake> {
    let text = value.text()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    text.parse::<IpNet>().map(|network| network.trunc()).map_err(|_| {
        Mistake::new(format!("{text:?} is not a network"))
            .help("write it as CIDR: \"10.0.0.0/8\", \"fd00::/8\", or as one address")
    })
}

/// An IP address and a port, where a port may be left out if there is a usual one.
pub(super) fn socket(value: &Value<'_>, usual_port: Option<u16>) -> Result<SocketAddr, Mistake> {
    let text = value.text()?;
    let alone = usual_port.and_then(|port| Some(SocketAddr::new(text.parse().ok()?, port)));
    text.parse().ok().or(alone).ok_or_else(|| {
        let example = format!("127.0.0.1:{}", usual_port.unwrap_or(9145));
        Mistake::new(format!("{text:?} is not an IP address with a port")).help(format!("such as {example:?}"))
    })
}

pub(super) fn header_name(text: &str) -> Result<HeaderName, Mistake> {
    text.parse().map_err(|_| {
        Mistake::new(format!("{text:?} is not a header name")).help("letters, digits and \"-\": \"X-Api-Key\"")
    })
}

pub(super) fn header_value(value: &Value<'_>) -> Result<HeaderValue, Mistake> {
    let text = value.text()?;
    let invalid = || Mistake::new(format!("{text:?} is not a header value")).help("printable ASCII, on one line");
    let ascii = text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    if ascii && text.trim() == text { HeaderValue::from_str(&text).map_err(|_| invalid()) } else { Err(invalid()) }
}

/// What may stand in a `Host` header.
pub(super) fn host_header(value: &Value<'_>) -> Result<HeaderValue, Mistake> {
    let text = value.text()?;
    let authority = text.parse::<Authority>().ok().filter(|_| !text.contains('@'));
    let header = authority.and_then(|_| HeaderValue::from_str(&text).ok());
    header.ok_or_else(|| {
        Mistake::new(format!("{text:?} is not a host")).help("a name or an address, and a port if needed")
    })
}

pub(super) fn cookie_name(text: &str) -> Result<String, Mistake> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(Mistake::new(format!("{text:?} is not a cookie name")).help("letters, digits, \"-\" and \"_\""));
    }
    Ok(text.to_owned())
}

/// A method in capitals, as it is sent: methods are case-sensitive (RFC 9110, 9.1).
pub(super) fn method(value: &Value<'_>) -> Result<Method, Mistake> {
    let text = value.text()?;
    let upper = text.to_ascii_uppercase();
    if text != upper {
        return Err(Mistake::new(format!("{text:?} is no method")).help(format!("write {upper:?}")));
    }
    let method = Method::from_bytes(text.as_bytes()).map_err(|_| Mistake::new(format!("{text:?} is no method")))?;
    if matches!(method, Method::TRACE | Method::CONNECT) {
        return Err(Mistake::new(format!("{text} is never served")).help("leave it out"));
    }
    Ok(method)
}

pub(super) fn status(value: &Value<'_>, first: u16, last: u16) -> Result<StatusCode, Mistake> {
    let code = value.integer(first..=last)?;
    StatusCode::from_u16(code).map_err(|_| Mistake::new(format!("{code} is not a status code")))
}

/// The path of a request: absolute, printable, without query.
pub(super) fn request_path(text: &str) -> Result<(), Mistake> {
    if !text.starts_with('/') {
        return Err(Mistake::new(format!("{text:?} does not start with \"/\"")).help(format!("write \"/{text}\"")));
    }
    if text.bytes().any(|byte| !(b'!'..=b'~').contains(&byte)) {
        return Err(Mistake::new(format!("{text:?} has characters that no request path has"))
            .help("percent-encode them, as %20 for a space"));
    }
    Ok(())
}

/// A path that we ask for.
pub(super) fn own_path(value: &Value<'_>) -> Result<String, Mistake> {
    let path = value.string()?;
    request_path(&path).map(|()| path)
}

/// Names of services, zones and header tables: they appear in URLs and metrics.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
