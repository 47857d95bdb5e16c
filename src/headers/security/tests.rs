use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::SecurityHeaders;
use crate::config::{HeaderPolicy, Hsts, Preset};
use crate::headers::tests::{map, names};

const YEAR: Hsts = Hsts { max_age: Duration::from_hours(8760), include_subdomains: false, preload: false };

fn compile(preset: Preset, changes: &[(&'static str, Option<&'static str>)]) -> SecurityHeaders {
    let changes =
        changes.iter().map(|(name, value)| (HeaderName::from_static(name), value.map(HeaderValue::from_static)));
    let policy = HeaderPolicy { preset, changes: changes.collect() };
    SecurityHeaders::compile(&policy, Some(YEAR))
}

fn answer(compiled: &SecurityHeaders, fields: &[(&str, &str)], tls: bool) -> HeaderMap {
    let mut headers = map(fields);
    compiled.apply(&mut headers, tls);
    headers
}

#[test]
fn secure_adds_what_the_contract_lists_and_hides_the_software() {
    let backend = [("server", "gunicorn"), ("x-powered-by", "PHP"), ("content-type", "text/html")];
    let headers = answer(&compile(Preset::Secure, &[]), &backend, true);
    assert_eq!(
        names(&headers),
        [
            "content-type",
            "cross-origin-opener-policy",
            "referrer-policy",
            "strict-transport-security",
            "x-content-type-options",
            "x-frame-options",
        ]
    );
    assert_eq!(headers["strict-transport-security"], "max-age=31536000");
    assert_eq!(headers["x-frame-options"], "SAMEORIGIN");
}

#[test]
fn secure_keeps_what_the_backend_set() {
    let backend = [("x-frame-options", "ALLOWALL"), ("strict-transport-security", "max-age=1")];
    let kept = answer(&compile(Preset::Secure, &[]), &backend, true);
    assert_eq!(kept["x-frame-options"], "ALLOWALL");
    assert_eq!(kept["strict-transport-security"], "max-age=1");
}

#[test]
fn strict_is_never_laxer_than_the_backend_or_the_preset() {
    let strict = compile(Preset::Strict, &[]);
    let alone = answer(&strict, &[], true);
    assert_eq!(alone["x-frame-options"], "DENY");
    assert_eq!(alone["content-security-policy"], "default-src 'self'");
    assert_eq!(alone["referrer-policy"], "strict-origin-when-cross-origin");
    assert_eq!(alone["permissions-policy"], "camera=(), geolocation=(), microphone=()");
    assert_eq!(alone["strict-transport-security"], "max-age=31536000");
    let lax = [
        ("x-frame-options", "ALLOWALL"),
        ("x-content-type-options", "none"),
        ("cross-origin-opener-policy", "unsafe-none"),
        ("referrer-policy", "unsafe-url"),
        ("permissions-policy", "camera=*"),
        ("strict-transport-security", "max-age=1"),
    ];
    let headers = answer(&strict, &lax, true);
    for (name, _) in lax {
        assert_eq!(headers.get_all(name).iter().collect::<Vec<_>>(), [&alone[name]], "{name}");
    }
    let stricter = [
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'"),
        ("permissions-policy", "usb=()"),
        ("strict-transport-security", "max-age=63072000; includeSubDomains"),
    ];
    let headers = answer(&strict, &stricter, true);
    assert_eq!(headers["referrer-policy"], "no-referrer");
    assert_eq!(headers["content-security-policy"], "default-src 'none'");
    assert_eq!(headers["permissions-policy"], "usb=(), camera=(), geolocation=(), microphone=()");
    assert_eq!(headers["strict-transport-security"], "max-age=63072000; includeSubDomains");
}

#[test]
fn hsts_says_what_the_site_says() {
    let hsts = Hsts { include_subdomains: true, preload: true, ..YEAR };
    let policy = HeaderPolicy { preset: Preset::Secure, changes: Vec::new() };
    let headers = answer(&SecurityHeaders::compile(&policy, Some(hsts)), &[], true);
    assert_eq!(headers["strict-transport-security"], "max-age=31536000; includeSubDomains; preload");
}

#[test]
fn hsts_is_never_sent_without_tls() {
    let backend = [("strict-transport-security", "max-age=1")];
    for compiled in [
        compile(Preset::Secure, &[]),
        compile(Preset::Strict, &[]),
        compile(Preset::Secure, &[("strict-transport-security", Some("max-age=5"))]),
    ] {
        assert!(!answer(&compiled, &backend, false).contains_key("strict-transport-security"));
    }
}

#[test]
fn changes_come_last() {
    let changed = compile(
        Preset::Secure,
        &[
            ("x-frame-options", None),
            ("server", Some("edge")),
            ("content-security-policy", Some("default-src 'none'")),
            ("strict-transport-security", None),
        ],
    );
    let backend = [("x-frame-options", "DENY"), ("server", "x"), ("content-security-policy", "y")];
    let headers = answer(&changed, &backend, true);
    assert!(!headers.contains_key("x-frame-options"));
    assert!(!headers.contains_key("strict-transport-security"));
    assert_eq!(headers["server"], "edge");
    assert_eq!(headers["content-security-policy"], "default-src 'none'");
}

#[test]
fn off_leaves_the_answer_alone() {
    let backend = [("server", "gunicorn"), ("strict-transport-security", "max-age=1")];
    assert_eq!(answer(&compile(Preset::Off, &[]), &backend, true), map(&backend));
}
