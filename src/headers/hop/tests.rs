use http::HeaderMap;

use super::{BadConnection, Hop, strip_request, strip_response};
use crate::headers::tests::{map, names};

fn strip(fields: &[(&str, &str)]) -> (Result<Hop, BadConnection>, HeaderMap) {
    let mut headers = map(fields);
    (strip_request(&mut headers), headers)
}

#[test]
fn connection_fields_and_what_they_name_are_cut() {
    let (hop, left) = strip(&[
        ("host", "example.com"),
        ("connection", "close, X-Hop"),
        ("connection", "x-other"),
        ("x-hop", "1"),
        ("x-other", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eDp5"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("trailer", "grpc-status"),
        ("upgrade", "websocket"),
        ("accept", "*/*"),
    ]);
    assert_eq!(hop, Ok(Hop::default()));
    assert_eq!(names(&left), ["accept", "host", "trailer"]);
}

#[test]
fn an_upgrade_is_told_when_connection_names_it() {
    let (hop, left) = strip(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
    assert_eq!(hop.unwrap().upgrade.unwrap(), "websocket");
    assert!(left.is_empty());
    let (hop, _) = strip(&[("connection", "keep-alive"), ("connection", "upgrade"), ("upgrade", "websocket")]);
    assert!(hop.unwrap().upgrade.is_some());
}

#[test]
fn an_upgrade_to_h2c_is_not_relayed() {
    let (hop, left) = strip(&[
        ("connection", "Upgrade, HTTP2-Settings"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
    ]);
    assert_eq!(hop.unwrap().upgrade, None);
    assert!(left.is_empty());
}

#[test]
fn trailers_are_told_and_te_is_cut() {
    let (hop, left) = strip(&[("te", "gzip;q=0.5, Trailers")]);
    assert!(hop.unwrap().te_trailers);
    assert!(left.is_empty());
}

#[test]
fn naming_what_the_backend_must_see_is_refused() {
    for name in [
        "Host",
        "X-Forwarded-For",
        "x-forwarded-anything",
        "X-Real-IP",
        "X-Request-ID",
        "X-Client-Cert-Subject",
        "Forwarded",
        "Authorization",
        "Cookie",
        "Content-Length",
        ":path",
    ] {
        let (hop, _) = strip(&[("connection", &format!("close, {name}"))]);
        assert_eq!(hop, Err(BadConnection::Reserved), "{name}");
    }
}

#[test]
fn a_thousand_names_are_refused() {
    let (hop, _) = strip(&[("connection", &"a,".repeat(1000))]);
    assert_eq!(hop, Err(BadConnection::TooMany));
}

#[test]
fn a_response_loses_its_hop_and_keeps_its_length() {
    let mut headers = map(&[
        ("connection", "close, x-hop, content-length"),
        ("x-hop", "1"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2"),
    ]);
    strip_response(&mut headers);
    assert_eq!(names(&headers), ["content-length"]);
}
