use http::HeaderMap;

use super::{AnswerLength, BadConnection, Hop, strip_request, strip_response};
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
    let mut headers = map(&[("connection", "close, x-hop, content-length"), ("x-hop", "1"), ("content-length", "3")]);
    assert_eq!(strip_response(&mut headers, true).length, AnswerLength::Settled);
    assert_eq!(names(&headers), ["content-length"]);
}

#[test]
fn a_response_with_chunks_loses_its_length() {
    let mut headers = map(&[
        ("connection", "close, x-hop, content-length"),
        ("x-hop", "1"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "h2"),
    ]);
    assert_eq!(strip_response(&mut headers, true).length, AnswerLength::Contradictory);
    assert_eq!(names(&headers), [""; 0]);
}

#[test]
fn each_field_of_one_connection_is_cut_by_itself_both_ways() {
    for name in [
        "connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "proxy-authenticate",
        "proxy-authorization",
        "keep-alive",
        "proxy-connection",
        "proxy-authentication-info",
        "http2-settings",
    ] {
        let (hop, left) = strip(&[(name, "close"), ("accept", "*/*")]);
        assert_eq!((hop, names(&left)), (Ok(Hop::default()), vec!["accept"]), "{name}");
        let mut answer = map(&[(name, "close"), ("server", "app")]);
        strip_response(&mut answer, true);
        assert_eq!(names(&answer), ["server"], "{name}");
    }
}

#[test]
fn an_upgrade_that_connection_does_not_name_is_none() {
    for connection in ["keep-alive", "close", "x-hop"] {
        let (hop, left) = strip(&[("connection", connection), ("upgrade", "websocket")]);
        assert_eq!((hop, left.len()), (Ok(Hop::default()), 0), "{connection}");
    }
    let (hop, _) = strip(&[("connection", "upgrade")]);
    assert_eq!(hop, Ok(Hop::default()), "named, and not there");
    let (hop, _) = strip(&[("connection", "upgrade"), ("upgrade", "websocket, H2C")]);
    assert_eq!(hop.unwrap().upgrade, None);
}

#[test]
fn thirty_two_names_are_cut_and_one_more_is_refused() {
    let fields: Vec<String> = (0..33).map(|number| format!("x-{number}")).collect();
    let (hop, left) = strip(&[("connection", &fields[..32].join(", ,")), ("x-0", "1"), ("x-31", "1"), ("x-32", "1")]);
    assert_eq!((hop, names(&left)), (Ok(Hop::default()), vec!["x-32"]));
    assert_eq!(strip(&[("connection", &fields.join(","))]).0, Err(BadConnection::TooMany));
    let mut answer = map(&[("connection", &fields.join(",")), ("x-31", "1"), ("x-32", "1")]);
    strip_response(&mut answer, true);
    assert_eq!(names(&answer), ["x-32"]);
}

#[test]
fn one_name_alone_is_cut_too() {
    let (hop, left) = strip(&[("connection", "x-hop"), ("x-hop", "1"), ("accept", "*/*")]);
    assert_eq!((hop, names(&left)), (Ok(Hop::default()), vec!["accept"]));
}

#[test]
fn without_trailers_none_are_told() {
    for te in ["gzip", "trailersx", ""] {
        assert!(!strip(&[("te", te)]).0.unwrap().te_trailers, "{te:?}");
    }
    assert!(strip(&[("te", "trailers;q=1")]).0.unwrap().te_trailers);
}

#[test]
fn trailers_are_announced_to_those_alone_who_get_them() {
    for (takes_trailers, left) in [(true, vec!["trailer"]), (false, vec![])] {
        let mut answer = map(&[("trailer", "X-Sum")]);
        strip_response(&mut answer, takes_trailers);
        assert_eq!(names(&answer), left);
    }
}

#[test]
fn what_a_backend_says_of_buffering_is_for_us() {
    for (said, unbuffered) in [("no", true), ("No", true), ("yes", false)] {
        let mut answer = map(&[("x-accel-buffering", said)]);
        assert_eq!(strip_response(&mut answer, true).unbuffered, unbuffered, "{said}");
        assert!(answer.is_empty());
    }
}
