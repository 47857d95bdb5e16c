use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::SecurityHeaders;
use crate::config::{HeaderPolicy, Preset};
use crate::headers::tests::{map, names};

const YEAR: Duration = Duration::from_hours(8760);

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
            "permissions-policy",
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
fn secure_keeps_what_the_backend_set_strict_overrides_it() {
    let backend = [("x-frame-options", "ALLOWALL"), ("strict-transport-security", "max-age=1")];
    let kept = answer(&compile(Preset::Secure, &[]), &backend, true);
    assert_eq!(kept["x-frame-options"], "ALLOWALL");
    assert_eq!(kept["strict-transport-security"], "max-age=1");
    let strict = answer(&compile(Preset::Strict, &[]), &backend, true);
    assert_eq!(strict["x-frame-options"], "DENY");
    assert_eq!(strict["content-security-policy"], "default-src 'self'");
    assert_eq!(strict["strict-transport-security"], "max-age=31536000; includeSubDomains; preload");
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
