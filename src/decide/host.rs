//! The one host that a request names.

use std::borrow::Cow;

use http::request::Parts;
use http::{Version, header};

use crate::error::Failure;
use crate::types::normal_name;

/// The host a request names, without port and brackets, in lower case: as sites are found. Its name may be empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Host<'a> {
    pub name: Cow<'a, str>,
    pub port: Option<u16>,
}

/// Exactly one host: the Host field, or `:authority`, or the absolute form; where two are given they agree. HTTP/1.0 may name none
/// (RFC 1945 knows no Host): then the name is empty, and the request is for the catch-all.
pub fn host_of(head: &Parts) -> Result<Host<'_>, Failure> {
    let mut fields = head.headers.get_all(header::HOST).iter();
    let field = fields.next().map(|value| value.to_str().map_err(|_| Failure::BadHost)).transpose()?;
    if fields.next().is_some() {
        return Err(Failure::BadHost);
    }
    let target = head.uri.authority().map(http::uri::Authority::as_str);
    match (field, target) {
        (None, None) if head.version <= Version::HTTP_10 => Ok(Host { name: "".into(), port: None }),
        (None, None) => Err(Failure::BadHost),
        (Some(text), None) | (None, Some(text)) => parse_host(text).ok_or(Failure::BadHost),
        (Some(field), Some(target)) => {
            let (field, target) = parse_host(field).zip(parse_host(target)).ok_or(Failure::BadHost)?;
            let default = head.uri.scheme_str().and_then(default_port);
            let agree = field.name == target.name && field.port.or(default) == target.port.or(default);
            agree.then_some(field).ok_or(Failure::BadHost)
        }
    }
}

/// RFC 9110, 4.2.1 and 4.2.2.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
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
    let name = normal_name(name);
    if name.is_empty() || name.len() > 255 || name.starts_with('.') || name.contains("..") {
        return None;
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if !name.bytes().all(allowed) {
        return None;
    }
    Some(Host { name, port })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

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
            ("user@host", None),
            ("host:port", None),
            ("host:99999", None),
            ("host:+80", None),
            ("host:", Some(("host", None))),
            ("a_b-c.test:80", Some(("a_b-c.test", Some(80)))),
            ("[::1]", Some(("::1", None))),
            ("[0:0:0:0:0:0:0:1]:80", Some(("::1", Some(80)))),
            ("[::1", None),
            ("::1]", None),
            ("[example.com]", None),
            (".", None),
            ("\u{e4}.test", None),
        ];
        for (text, expected) in cases {
            let parsed = parse_host(text);
            let parsed = parsed.as_ref().map(|h| (&*h.name, h.port));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!(parse_host(&"a".repeat(255)).is_some());
        assert!(parse_host(&"a".repeat(256)).is_none());
    }

    #[test]
    fn what_is_lower_case_already_is_not_copied() {
        assert!(matches!(parse_host("app.test").unwrap().name, Cow::Borrowed(_)));
        assert!(matches!(parse_host("App.test").unwrap().name, Cow::Owned(_)));
    }

    #[test]
    fn two_hosts_and_disagreeing_forms_are_refused() {
        let two = head(Request::builder().uri("/").header("host", "a").header("host", "a"));
        assert_eq!(host_of(&two).unwrap_err(), Failure::BadHost);
        let differs = head(Request::builder().uri("http://a/").header("host", "b"));
        assert_eq!(host_of(&differs).unwrap_err(), Failure::BadHost);
        let same = head(Request::builder().uri("http://a/").header("host", "A"));
        assert_eq!(host_of(&same).unwrap().name, "a");
        let target_alone = head(Request::builder().uri("http://a:81/"));
        assert_eq!(host_of(&target_alone).unwrap(), Host { name: "a".into(), port: Some(81) });
        let not_text = head(Request::builder().uri("/").header("host", &b"a\xff"[..]));
        assert_eq!(host_of(&not_text).unwrap_err(), Failure::BadHost);
        assert_eq!(host_of(&head(Request::builder().uri("/"))).unwrap_err(), Failure::BadHost);
    }

    #[test]
    fn a_port_that_is_the_scheme_s_own_may_be_left_out() {
        for (target, field, agree) in [
            ("https://app.test/", "app.test:443", true),
            ("https://app.test:443/", "app.test", true),
            ("http://app.test/", "app.test:80", true),
            ("https://app.test/", "app.test:80", false),
            ("http://app.test/", "app.test:443", false),
            ("https://app.test:8443/", "app.test", false),
            ("https://APP.test/", "app.TEST:443", true),
            ("https://app.test/", "www.app.test:443", false),
        ] {
            let head = http::Request::get(target).header("host", field).body(()).unwrap().into_parts().0;
            assert_eq!(host_of(&head).is_ok(), agree, "{target} {field}");
        }
    }

    #[test]
    fn http_1_0_alone_may_name_no_host() {
        for (version, expected) in [
            (Version::HTTP_09, Ok("")),
            (Version::HTTP_10, Ok("")),
            (Version::HTTP_11, Err(Failure::BadHost)),
            (Version::HTTP_2, Err(Failure::BadHost)),
        ] {
            let head = http::Request::get("/").version(version).body(()).unwrap().into_parts().0;
            assert_eq!(host_of(&head).map(|host| host.name), expected.map(Cow::Borrowed), "{version:?}");
        }
    }
}
