//! Ambiguous and broken requests are refused, their connection is closed, and nothing that follows reaches a backend.

use crate::support::{Edge, Origin, Setup, assert_has_our_fields, seconds};

const SPACES: &str = "                                        ";

/// A request that some server on the way might read differently.
struct Hostile {
    name: &'static str,
    raw: String,
    status: u16,
    /// The stable reason in the access log; "" where more than one would be right.
    reason: &'static str,
}

fn hostile(name: &'static str, raw: &str, status: u16, reason: &'static str) -> Hostile {
    Hostile { name, raw: raw.replace('\n', "\r\n").replace("\\LF", "\n").replace("\\0", "\0"), status, reason }
}

/// Sends each request on a connection of its own, with another request right behind it.
fn assert_refused(edge: &Edge, origin: &Origin, requests: &[Hostile]) {
    let mut refused = Vec::new();
    for Hostile { name, raw, status, reason } in requests {
        let mut client = edge.plain();
        client.send(raw).send("GET /second HTTP/1.1\r\nHost: plain.test\r\n\r\n");
        let answer = client.try_answer().unwrap_or_else(|| panic!("{name}: closed without an answer"));
        assert_eq!(answer.status, *status, "{name}: {:?}", answer.head);
        assert_has_our_fields(&answer);
        assert_eq!(answer.get("connection"), Some("close"), "{name}: {:?}", answer.head);
        assert!(client.try_answer().is_none(), "{name}: the request behind it was answered");
        assert!(client.closes_within(seconds(5)), "{name}: not closed");
        refused.push((name, status, reason, answer.id().to_owned()));
    }
    for (name, status, reason, id) in refused {
        let line = edge.logged(&id);
        assert_eq!(line["status"], *status, "{name}: {line}");
        assert!(reason.is_empty() && line["error"].is_string() || line["error"] == **reason, "{name}: {line}");
    }
    assert_eq!(origin.count("/second"), 0, "{:?}", origin.seen());
}

#[test]
fn a_body_whose_length_can_be_read_in_two_ways_is_refused() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let post = |fields: &str, body: &str| format!("POST /first HTTP/1.1\nHost: plain.test\n{fields}\n{body}");
    let case = |name, fields: &str, body: &str| hostile(name, &post(fields, body), 400, "bad_framing");
    assert_refused(
        &edge,
        &origin,
        &[
            case("TE and CL", "Transfer-Encoding: chunked\nContent-Length: 5\n", "0\n\n"),
            case("CL and TE", "Content-Length: 5\nTransfer-Encoding: chunked\n", "0\n\n"),
            case("two equal CLs", "Content-Length: 5\nContent-Length: 5\n", "12345"),
            case("two unequal CLs", "Content-Length: 5\nContent-Length: 6\n", "12345"),
            case("TE gzip, chunked", "Transfer-Encoding: gzip, chunked\n", "0\n\n"),
            case("TE twice", "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n", "0\n\n"),
            case("a tab after TE's colon and CL", "Transfer-Encoding:\tchunked\nContent-Length: 5\n", "0\n\n"),
            case(
                "TE and a CL behind many spaces",
                &format!("Transfer-Encoding: chunked\nContent-Length:{SPACES}5\n"),
                "0\n\n",
            ),
            case(
                "two CLs behind many spaces",
                &format!("Content-Length:{SPACES}5\nContent-Length:{SPACES}5\n"),
                "12345",
            ),
        ],
    );
    let refused_at_once = |name, fields: &str, body: &str| hostile(name, &post(fields, body), 400, "");
    assert_refused(
        &edge,
        &origin,
        &[
            refused_at_once("TE identity", "Transfer-Encoding: identity\n", "0\n\n"),
            refused_at_once("TE chunked, identity", "Transfer-Encoding: chunked, identity\n", "0\n\n"),
            refused_at_once("TE xchunked", "Transfer-Encoding: xchunked\n", "0\n\n"),
            hostile(
                "HTTP/1.0 and TE",
                "POST /first HTTP/1.0\nHost: plain.test\nTransfer-Encoding: chunked\n\n0\n\n",
                400,
                "",
            ),
            refused_at_once("a list of CLs", "Content-Length: 5, 5\n", "12345"),
            refused_at_once("a signed CL", "Content-Length: +5\n", "12345"),
            refused_at_once("a negative CL", "Content-Length: -5\n", "12345"),
            refused_at_once("a CL in hex", "Content-Length: 0x5\n", "12345"),
            refused_at_once("an empty CL", "Content-Length: \n", ""),
            refused_at_once("a CL too large", "Content-Length: 99999999999999999999\n", "12345"),
        ],
    );
    assert_eq!(origin.seen().len(), 0, "{:?}", origin.seen());
}

#[test]
fn a_broken_chunk_ends_the_connection_and_no_request_follows() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let post = "POST /first HTTP/1.1\nHost: plain.test\nTransfer-Encoding: chunked\n\n";
    let case = |name, body: &str| hostile(name, &format!("{post}{body}"), 400, "bad_request");
    assert_refused(
        &edge,
        &origin,
        &[
            case("not hex", "xyz\nhello\n0\n\n"),
            case("negative", "-5\nhello\n0\n\n"),
            case("a prefix", "0x5\nhello\n0\n\n"),
            case("too large", "ffffffffffffffffff\nhello\n0\n\n"),
            case("longer than it says", "3\nhello\n0\n\n"),
            case("empty size", "\nhello\n0\n\n"),
            case("bare LF after the size", "5\\LFhello\n0\n\n"),
            case("bare LF after the data", "5\nhello\\LF0\n\n"),
            case("bare LF after a trailer", "0\nX-A: b\\LFX-C: d\n\n"),
            case("bare LF as the last line", "0\n\\LF"),
            case("bare LF in an extension", "5;a\\LFhello\n0\n\n"),
            case("NUL in an extension", "5;a=\\0\nhello\n0\n\n"),
            case("NUL in a trailer", "0\nX-A: \\0\n\n"),
            case("a control in an extension", "5;a=\u{1}\nhello\n0\n\n"),
        ],
    );
}

#[test]
fn chunk_extensions_and_trailers_are_accepted() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Transfer-Encoding: chunked\r\n");
    client.send("5;name=value\r\nhello\r\n6;q=\"a b\"\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(client.answer().text(), "hello world");
    assert_eq!(client.get("/").text(), "blue", "the connection is still good");
}

#[test]
fn a_malformed_head_is_refused() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let get = |rest: &str| format!("GET /first HTTP/1.1\nHost: plain.test\n{rest}\n");
    let case = |name, raw: &str| hostile(name, raw, 400, "");
    assert_refused(
        &edge,
        &origin,
        &[
            case("obs-fold", &get("X-A: 1\n 2\n")),
            case("obs-fold by tab", &get("X-A: 1\n\t2\n")),
            case("a space before the colon", &get("X-A : 1\n")),
            case("a tab before the colon", &get("X-A\t: 1\n")),
            case("no name", &get(": 1\n")),
            case("no colon", &get("nonsense\n")),
            case("a name with a space", &get("X A: 1\n")),
            case("NUL in a value", &get("X-A: a\\0b\n")),
            case("NUL in a name", &get("X\\0A: b\n")),
            case("NUL in the target", "GET /fi\\0rst HTTP/1.1\nHost: plain.test\n\n"),
            case("a bare LF after the request line", "GET /first HTTP/1.1\\LFHost: plain.test\n\n"),
            case("a bare LF after a field", "GET /first HTTP/1.1\nHost: plain.test\\LFX-A: b\n\n"),
            case("a bare LF as the last line", "GET /first HTTP/1.1\nHost: plain.test\n\\LF"),
            case("leading space", " GET /first HTTP/1.1\nHost: plain.test\n\n"),
            case("two spaces", "GET  /first HTTP/1.1\nHost: plain.test\n\n"),
            case("no version", "GET /first\nHost: plain.test\n\n"),
            case("HTTP/3.0", "GET /first HTTP/3.0\nHost: plain.test\n\n"),
            case("lower-case http", "GET /first http/1.1\nHost: plain.test\n\n"),
            case("not HTTP", "\u{16}\u{3}\u{1}nonsense\n\n"),
        ],
    );
    assert_eq!(origin.seen().len(), 0, "{:?}", origin.seen());
}

#[test]
fn a_request_names_exactly_one_valid_host() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let case = |name, raw: &str| hostile(name, raw, 400, "bad_host");
    assert_refused(
        &edge,
        &origin,
        &[
            case("no Host", "GET /first HTTP/1.1\n\n"),
            case("an empty Host", "GET /first HTTP/1.1\nHost:\n\n"),
            case("two Hosts", "GET /first HTTP/1.1\nHost: plain.test\nHost: app.test\n\n"),
            case("two equal Hosts", "GET /first HTTP/1.1\nHost: plain.test\nHost: plain.test\n\n"),
            case("a list", "GET /first HTTP/1.1\nHost: plain.test, app.test\n\n"),
            case("a space", "GET /first HTTP/1.1\nHost: plain test\n\n"),
            case("a path", "GET /first HTTP/1.1\nHost: plain.test/x\n\n"),
            case("user info", "GET /first HTTP/1.1\nHost: me@plain.test\n\n"),
            case("a port that is none", "GET /first HTTP/1.1\nHost: plain.test:http\n\n"),
            case("a port too large", "GET /first HTTP/1.1\nHost: plain.test:65536\n\n"),
            case("absolute form against Host", "GET http://app.test/first HTTP/1.1\nHost: plain.test\n\n"),
        ],
    );
    assert_eq!(origin.seen().len(), 0, "{:?}", origin.seen());
}

#[test]
fn the_absolute_form_is_served_when_it_agrees_with_host() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.send("GET http://plain.test/absolute?q=1 HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(origin.saw("/absolute").head.word(1), "/absolute?q=1");
}

#[test]
fn a_head_that_is_too_large_is_refused_with_its_own_status() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("header_size = \"8KiB\"\nheaders = 20").start();
    let long = "a".repeat(9 * 1024);
    let huge = "a".repeat(200 * 1024);
    let many: String = (0..30).map(|n| format!("X-{n}: 1\n")).collect();
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\nHost: plain.test\n{fields}\n");
    assert_refused(
        &edge,
        &origin,
        &[
            hostile("one long field", &get("/first", &format!("X-A: {long}\n")), 431, "head_too_large"),
            hostile("a huge field", &get("/first", &format!("X-A: {huge}\n")), 431, "head_too_large"),
            hostile("a head without end", &format!("GET /first HTTP/1.1\nX-A: {huge}"), 431, "head_too_large"),
            hostile("too many fields", &get("/first", &many), 431, "head_too_large"),
            hostile("a target longer than a head may be", &get(&format!("/{long}"), ""), 414, "uri_too_long"),
            hostile("a huge target", &get(&format!("/{huge}"), ""), 414, "uri_too_long"),
        ],
    );
    assert_eq!(origin.seen().len(), 0, "{:?}", origin.seen());
    assert_eq!(edge.get("/fine").status, 200);
}

#[test]
fn requests_before_a_refused_one_are_answered() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.send("GET /good HTTP/1.1\r\nHost: plain.test\r\n\r\nGET /bad HTTP/1.1\r\n\r\nGET /second HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(client.answer().status, 400);
    assert!(client.closes_within(seconds(5)));
    assert_eq!(origin.seen().len(), 1, "{:?}", origin.seen());
}

#[test]
fn a_body_is_framed_anew_towards_the_backend() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("POST", "/echo", "transfer-encoding: CHUNKED\r\n").send("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer().text(), "abc");
    let head = origin.saw("/echo").head;
    assert_eq!(head.all("transfer-encoding"), ["chunked"], "{head:?}");
    assert_eq!(head.get("content-length"), None, "{head:?}");
}

#[test]
fn a_request_behind_a_body_of_zero_bytes_is_scanned_however_its_length_is_written() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let hidden = "POST /hidden HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
    for length in [format!("{SPACES}0"), "0".repeat(50), format!("\t 0{SPACES}")] {
        let mut client = edge.plain();
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: plain.test\r\nContent-Length:{length}\r\n\r\n{hidden}0\r\n\r\n"
        ));
        assert_eq!(client.answer().status, 200, "{length:?}");
        assert_eq!(client.answer().status, 400, "{length:?}");
        assert!(client.closes_within(seconds(5)), "{length:?}");
    }
    assert_eq!(origin.count("/hidden"), 0);
}

#[test]
fn a_chunk_larger_than_a_body_may_be_is_refused_on_sight() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("body_timeout = \"30s\"").site("body_size = \"64KiB\"").start();
    let begun = std::time::Instant::now();
    for (name, sizes) in [
        ("at once", "ffffffffffffffff\r\n".to_owned()),
        ("just too large", "10001\r\n".to_owned()),
        ("in two", format!("8000\r\n{}\r\n8001\r\n", "a".repeat(0x8000))),
    ] {
        let mut client = edge.plain();
        client.begin("POST", "/echo", "Transfer-Encoding: chunked\r\n").send(&sizes);
        assert_eq!(client.answer().status, 413, "{name}");
        assert!(client.closes_within(seconds(5)), "{name}");
        // The chunk's size comes after the head was sent on.
        let mut client = edge.plain();
        client.begin("POST", "/echo", "Transfer-Encoding: chunked\r\n").send("1\r\na\r\n");
        origin.saw("/echo");
        client.send(&sizes);
        assert_eq!(client.answer().status, 413, "{name}, later");
    }
    assert!(begun.elapsed() < seconds(10), "{:?}", begun.elapsed());
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Transfer-Encoding: chunked\r\n");
    client.send(format!("10000\r\n{}\r\n0\r\n\r\n", "a".repeat(0x10000)));
    assert_eq!(client.answer().body.len(), 0x10000, "as large as it may be");
}

#[test]
fn a_request_without_a_host_is_for_the_catch_all() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.send("GET /check HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 404, "there is no catch-all");
    let catch_all = "[[site]]\nhosts = [\"*\"]\ntls = \"off\"\nservice = \"app\"";
    let edge = Setup::to(&origin).and(catch_all).start();
    let mut client = edge.plain();
    client.send("GET /check HTTP/1.0\r\n\r\n");
    assert_eq!((client.answer().text().as_str(), client.closes_within(seconds(5))), ("blue", true));
    let head = origin.saw("/check").head;
    assert_eq!((head.get("host"), head.get("x-forwarded-host")), (Some(origin.backend()), None), "{head:?}");
    let mut client = edge.plain();
    client.send("GET /check HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer().status, 400, "HTTP/1.1 must name one");
}

#[test]
fn what_people_paste_into_a_target_is_encoded_and_logged_as_it_came() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    for (written, sent) in [
        ("/q?q=\"x\"", "/q?q=%22x%22"),
        ("/a<b>c", "/a%3Cb%3Ec"),
        ("/`^{|}", "/%60%5E%7B%7C%7D"),
        ("/q?a[]=1&b={\"c\":1}", "/q?a[]=1&b=%7B%22c%22:1%7D"),
        ("/caf\u{e9}/\u{4e2d}?\u{1f600}", "/caf%C3%A9/%E4%B8%AD?%F0%9F%98%80"),
        ("/%22\"%3C<", "/%22%22%3C%3C"),
    ] {
        let mut client = edge.plain();
        // Twice on one connection, the second in two parts.
        client.send(format!("GET {written} HTTP/1.1\r\nHost: plain.test\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{written}");
        let (first, second) = written.as_bytes().split_at(written.len() / 2);
        client.send("GET ").send(first);
        client.send(second).send(" HTTP/1.1\r\nHost: plain.test\r\n\r\n");
        let answer = client.answer();
        assert_eq!(answer.status, 200, "{written}");
        let path = sent.split('?').next().unwrap();
        assert_eq!(origin.saw(path).head.word(1), sent, "{written}");
        let line = edge.logged(answer.id());
        let (path, query) = written.split_once('?').map_or((written, None), |(path, query)| (path, Some(query)));
        assert_eq!((line["path"].as_str(), line["query"].as_str()), (Some(path), query), "{line}");
    }
    let mut client = edge.plain();
    client.send(b"GET /latin1/\xe9 HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 200);
    assert_eq!(edge.logged(answer.id())["path"], "/latin1/%E9", "what is no text stays encoded");
    // A target so long that it no longer fits where it was read, with a body behind it.
    let long = "\"".repeat(6000);
    let mut client = edge.plain();
    client.send(format!("POST /echo?{long} HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 4\r\n\r\nbodyGET /next HTTP/1.1\r\nHost: plain.test\r\n\r\n"));
    assert_eq!(client.answer().text(), "body");
    assert_eq!(client.answer().text(), "blue");
    let case = |name, raw: &str| hostile(name, raw, 400, "");
    assert_refused(
        &edge,
        &origin,
        &[
            case("a fragment", "GET /first#a HTTP/1.1\nHost: plain.test\n\n"),
            case("a fragment alone", "GET # HTTP/1.1\nHost: plain.test\n\n"),
            case("a space", "GET /first a HTTP/1.1\nHost: plain.test\n\n"),
            case("a tab", "GET /first\ta HTTP/1.1\nHost: plain.test\n\n"),
            case("DEL", "GET /first\u{7f} HTTP/1.1\nHost: plain.test\n\n"),
            case("a control", "GET /first\u{1} HTTP/1.1\nHost: plain.test\n\n"),
            case("a quote in the method", "G\"T /first HTTP/1.1\nHost: plain.test\n\n"),
            case("a quote in the version", "GET /first HTTP/1.1\"\nHost: plain.test\n\n"),
            case("an asterisk", "GET * HTTP/1.1\nHost: plain.test\n\n"),
            case("an authority", "GET plain.test HTTP/1.1\nHost: plain.test\n\n"),
            case("an authority with its port", "GET plain.test:80 HTTP/1.1\nHost: plain.test:80\n\n"),
        ],
    );
}

#[test]
fn trailers_of_a_request_carry_nothing_that_the_backend_trusts() {
    let origin = Origin::start("blue");
    origin.on("/trailers", |head, wire| {
        let (_, trailers) = wire.body(&head.request_framing());
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{trailers}", trailers.len()));
        crate::support::Then::Keep
    });
    let zone = "[zone.keys]\nkey = \"header:X-Key\"\nrate = \"1000r/s\"";
    let edge = Setup::to(&origin).and(zone).site("limit = [\"keys\"]").start();
    let names = [
        "X-Real-IP",
        "X-Request-ID",
        "Forwarded",
        "traceparent",
        "tracestate",
        "Cookie",
        "Host",
        "Authorization",
        "X-Forwarded-For",
        "X-Client-Cert-Subject",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "X-Key",
        "X_Real_IP",
        "X-Sum",
    ];
    let fields: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
    let announced = format!("Transfer-Encoding: chunked\r\nTrailer: {}\r\n", names.join(", "));
    let mut client = edge.plain();
    client.begin("POST", "/trailers", &announced).send(format!("1\r\na\r\n0\r\n{fields}\r\n"));
    assert_eq!(client.answer().text().to_lowercase().trim(), "x-sum: 1");
    let mut h2 = edge.h2("app.test");
    let trailers = names
        .iter()
        .filter(|name| !matches!(**name, "Transfer-Encoding" | "Connection"))
        .map(|name| (http::HeaderName::from_bytes(name.as_bytes()).unwrap(), http::HeaderValue::from_static("1")));
    let request = h2.request("POST", "/trailers").header("trailer", "X-Sum, X-Real-IP, Cookie, X-Key");
    let answer = h2.ask(request, b"a", Some(trailers.collect())).unwrap();
    assert_eq!(answer.text().to_lowercase().trim(), "x-sum: 1");
}
