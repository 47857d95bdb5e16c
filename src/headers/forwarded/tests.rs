use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use proptest::prelude::*;

use super::{Forward, ForwardedSender, client, client_ip};
use crate::headers::tests::{map, names};

const OURS: [&str; 7] = [
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

fn trusted() -> Vec<IpNet> {
    vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/64".parse().unwrap()]
}

/// Sends the fields on from `peer`; returns them and the trace id.
fn forward(peer: &str, headers: &mut HeaderMap) -> String {
    let sender = ForwardedSender::new(peer.parse().unwrap(), 443, true);
    let forward = Forward {
        sender: &sender,
        trusted: client::is_trusted(sender.peer(), &trusted()),
        client: client_ip(sender.peer(), &trusted(), headers),
        request_id: &HeaderValue::from_static("the-id"),
        host: Some(&HeaderValue::from_static("example.com")),
        stripped: None,
        client_cert: None,
    };
    forward.apply(headers).trace_id().to_owned()
}

fn client(peer: &str, way: &[&str]) -> String {
    let fields: Vec<_> = way.iter().map(|value| ("x-forwarded-for", *value)).collect();
    client_ip(peer.parse::<IpAddr>().unwrap(), &trusted(), &map(&fields)).to_string()
}

#[test]
fn an_untrusted_peer_has_no_say() {
    let mut headers = map(&[
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-prefix", "/admin"),
        ("x-client-cert-subject", "CN=root"),
        ("forwarded", "for=1.1.1.1"),
        ("x_forwarded_for", "1.1.1.1"),
        ("x.real.ip", "1.1.1.1"),
        ("proxy", "http://evil"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
        ("accept", "*/*"),
    ]);
    let trace = forward("192.0.2.1", &mut headers);
    let mut expected = OURS.to_vec();
    expected.insert(0, "accept");
    assert_eq!(names(&headers), expected);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_ne!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn a_trusted_proxy_is_believed_and_added_to_the_way() {
    let mut headers = map(&[
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-for", "10.0.0.9"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "outer.example"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
        ("forwarded", "for=192.0.2.7"),
    ]);
    let trace = forward("::ffff:10.0.0.1", &mut headers);
    assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 10.0.0.9, 10.0.0.1");
    assert_eq!(headers["x-real-ip"], "192.0.2.7");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-port"], "80");
    assert_eq!(headers["x-forwarded-host"], "outer.example");
    assert_eq!(headers["x-request-id"], "the-id");
    assert_eq!(trace, "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(headers.contains_key("tracestate") && headers.contains_key("forwarded"));
}

#[test]
fn nonsense_from_a_trusted_proxy_is_replaced() {
    let mut headers = map(&[
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-port", "70000"),
        ("x-forwarded-host", "a b"),
        ("x_real_ip", "1.1.1.1"),
    ]);
    forward("10.0.0.1", &mut headers);
    assert_eq!(names(&headers), OURS);
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-port"], "443");
    assert_eq!(headers["x-forwarded-host"], "example.com");
}

#[test]
fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
    assert_eq!(client("192.0.2.1", &["1.1.1.1"]), "192.0.2.1");
    assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    assert_eq!(client("10.0.0.1", &["6.6.6.6, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
    assert_eq!(client("10.0.0.1", &["6.6.6.6", "192.0.2.1:99", "10.0.0.2"]), "192.0.2.1");
    assert_eq!(client("10.0.0.1", &["[2001:db8:1::1]:99, [2001:db8::7]"]), "2001:db8:1::1");
    assert_eq!(client("10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    assert_eq!(client("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
}

#[test]
fn forwarded_says_it_where_x_forwarded_for_does_not() {
    let client = |fields: &[(&str, &str)]| client_ip("10.0.0.1".parse().unwrap(), &trusted(), &map(fields)).to_string();
    for (value, expected) in [
        ("for=192.0.2.7;proto=https", "192.0.2.7"),
        ("proto=https; For=\"192.0.2.7:4711\"", "192.0.2.7"),
        ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("for=1.2.3.4, for=192.0.2.7, , for=10.0.0.9", "192.0.2.7"),
        ("for=192.0.2.7, for=unknown", "10.0.0.1"),
        ("for=192.0.2.7, for=_hidden, for=10.0.0.9", "10.0.0.9"),
        ("for=192.0.2.7, proto=https", "10.0.0.1"),
        ("for=\"a,192.0.2.7\"", "10.0.0.1"),
        ("for", "10.0.0.1"),
    ] {
        assert_eq!(client(&[("forwarded", value)]), expected, "{value}");
    }
    let both = [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "192.0.2.8")];
    assert_eq!(client(&both), "192.0.2.8");
    assert_eq!(client(&[("x-forwarded-for", ", ,192.0.2.8,")]), "192.0.2.8", "empty entries are none");
}

#[test]
fn an_entry_that_is_no_address_ends_the_search() {
    assert_eq!(client("10.0.0.1", &["192.0.2.1, unknown, 10.0.0.2"]), "10.0.0.2");
}

fn any_field() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let name = prop_oneof![
        prop::sample::select(OURS.to_vec()).prop_map(str::to_owned),
        prop::sample::select(OURS.to_vec()).prop_map(|name| name.replace('-', "_")),
        "x[-_.]forwarded[-_.][a-z]{1,6}",
        "x-client-cert-[a-z]{1,6}",
        "[a-zA-Z0-9_.!-]{1,16}",
    ];
    let value = prop_oneof!["[ -~]{0,40}", "[0-9.,: ]{0,40}"];
    (name, value).prop_map(|(name, value)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(&value).unwrap())
    })
}

proptest! {
    /// Whatever comes from an untrusted peer, each of ours leaves exactly once, with our value, and has no alias.
    #[test]
    fn ours_leave_once_with_our_value(fields in prop::collection::vec(any_field(), 0..30)) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        let trace = forward("192.0.2.1", &mut headers);
        for name in OURS {
            prop_assert_eq!(headers.get_all(name).iter().count(), 1);
        }
        let expected = [
            ("x-forwarded-for", "192.0.2.1"),
            ("x-real-ip", "192.0.2.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "example.com"),
            ("x-forwarded-port", "443"),
            ("x-request-id", "the-id"),
        ];
        for (name, value) in expected {
            prop_assert_eq!(&headers[name], value);
        }
        prop_assert_eq!(&headers["traceparent"].as_bytes()[3..35], trace.as_bytes());
        for name in names(&headers) {
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
            let ours = OURS.contains(&name);
            prop_assert!(ours || !(name.starts_with("x-forwarded") || name.starts_with("x-client-cert-")));
        }
    }

    /// No X-Forwarded-For makes the search panic or believe an untrusted peer.
    #[test]
    fn any_way_is_survived(way in "[0-9a-f.:,\\[\\] ]{0,80}") {
        prop_assert_eq!(client("192.0.2.1", &[&way]), "192.0.2.1");
        client("10.0.0.1", &[&way]);
    }
}

#[test]
fn a_prefix_that_was_cut_is_told_with_those_that_trusted_proxies_have_cut() {
    for (peer, sent, told) in [
        ("192.0.2.1", None, "/app"),
        ("192.0.2.1", Some("/evil"), "/app"),
        ("10.0.0.1", Some("/outer"), "/outer/app"),
        ("10.0.0.1", Some("/outer/"), "/outer/app"),
        ("10.0.0.1", Some("evil"), "/app"),
        ("10.0.0.1", None, "/app"),
    ] {
        let fields: Vec<_> = sent.iter().map(|sent| ("x-forwarded-prefix", *sent)).collect();
        let mut headers = map(&fields);
        let sender = ForwardedSender::new(peer.parse().unwrap(), 443, true);
        let forward = Forward {
            sender: &sender,
            trusted: client::is_trusted(sender.peer(), &trusted()),
            client: sender.peer(),
            request_id: &HeaderValue::from_static("the-id"),
            host: None,
            stripped: Some(&HeaderValue::from_static("/app")),
            client_cert: None,
        };
        forward.apply(&mut headers);
        assert_eq!(headers["x-forwarded-prefix"], told, "{peer} {sent:?}");
    }
}
