//! What a backend answers is settled before it goes on: one length, whole, and never two readings.

use crate::support::h2::send_all;
use crate::support::{Edge, Origin, Setup, Then, assert_has_our_fields, wait_until};

/// Answers with this head and body on one path, then does `then`.
fn answers(origin: &Origin, path: &str, raw: impl Into<String>, then: Then) {
    let raw = raw.into();
    origin.on(path, move |head, wire| {
        wire.body(&head.request_framing());
        wire.send(&raw);
        then
    });
}

fn connection_of(origin: &Origin, path: &str) -> usize {
    origin.saw(path).connection
}

#[test]
fn chunks_win_over_a_length_and_the_connection_is_not_used_again() {
    let origin = Origin::start("blue");
    let both = "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
    for (path, first) in
        [("/short", "Content-Length: 2"), ("/long", "Content-Length: 99"), ("/none", "Content-Length: 0")]
    {
        answers(&origin, path, format!("HTTP/1.1 200 OK\r\n{first}\r\n{both}"), Then::Keep);
    }
    let edge = Setup::to(&origin).start();
    for path in ["/short", "/long", "/none"] {
        let mut client = edge.plain();
        let answer = client.get(path);
        assert_eq!((answer.text().as_str(), answer.get("content-length")), ("0123456789", None), "{path}");
        assert_eq!(client.get("/after").text(), "blue", "the client's connection is good");
        assert_ne!(connection_of(&origin, "/after"), connection_of(&origin, path), "{path}");
        assert_eq!(edge.h2("app.test").get(path).text(), "0123456789", "{path} over HTTP/2");
    }
}

#[test]
fn equal_lengths_become_one() {
    let origin = Origin::start("blue");
    for (path, fields) in [
        ("/list", "Content-Length: 4, 4"),
        ("/fields", "Content-Length: 4\r\nContent-Length: 4"),
        ("/both", "Content-Length: 4,4\r\nContent-Length:  4 "),
    ] {
        answers(&origin, path, format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nbody"), Then::Keep);
    }
    let edge = Setup::to(&origin).start();
    for path in ["/list", "/fields", "/both"] {
        let answer = edge.get(path);
        assert_eq!((answer.text().as_str(), answer.head.all("content-length")), ("body", vec!["4"]), "{path}");
        let answer = edge.h2("app.test").get(path);
        assert_eq!((answer.text().as_str(), answer.get("content-length")), ("body", Some("4")), "{path}");
        let head = edge.plain().ask("HEAD", path, "", "");
        assert_eq!(head.head.all("content-length"), ["4"], "HEAD {path}");
    }
}

#[test]
fn an_answer_that_can_be_read_in_two_ways_is_a_502() {
    let origin = Origin::start("blue");
    let cases = [
        ("/unequal", "Content-Length: 4\r\nContent-Length: 5", "bodyx"),
        ("/unequal-list", "Content-Length: 4, 5", "bodyx"),
        ("/no-number", "Content-Length: four", "body"),
        ("/signed", "Content-Length: +4", "body"),
        ("/gzip", "Transfer-Encoding: gzip, chunked", "4\r\nbody\r\n0\r\n\r\n"),
        ("/gzip-last", "Transfer-Encoding: chunked, gzip", "4\r\nbody\r\n0\r\n\r\n"),
        ("/identity", "Transfer-Encoding: identity", "body"),
        ("/twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n"),
        ("/nul", "X-A: a\0b\r\nContent-Length: 4", "body"),
        ("/folded", "X-A: a\r\n b\r\nContent-Length: 4", "body"),
    ];
    for (path, fields, body) in cases {
        answers(&origin, path, format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}"), Then::Close);
    }
    let edge = Setup::to(&origin).service("retries = 0").start();
    for (path, ..) in cases {
        let answer = edge.get(path);
        assert_eq!(answer.status, 502, "{path}: {:?}", answer.head);
        assert_has_our_fields(&answer);
        assert_eq!(edge.logged(answer.id())["error"], "upstream_invalid", "{path}");
        assert_eq!(edge.h2("app.test").get(path).status, 502, "{path} over HTTP/2");
    }
    let failures = "edge_upstream_failures_total{service=\"app\",color=\"\",reason=\"upstream_invalid\"}";
    assert_eq!(edge.metric(failures), 2.0 * cases.len() as f64);
}

#[test]
fn a_space_before_a_field_s_colon_is_removed() {
    let origin = Origin::start("blue");
    answers(&origin, "/", "HTTP/1.1 200 OK\r\nX-Space : a\r\nContent-Length : 4\r\n\r\nbody", Then::Keep);
    let edge = Setup::to(&origin).start();
    let answer = edge.get("/");
    assert_eq!((answer.get("x-space"), answer.text().as_str()), (Some("a"), "body"), "{:?}", answer.head);
}

#[test]
fn a_status_keeps_the_backend_s_reason_or_has_none() {
    let origin = Origin::start("blue");
    for (path, line) in [
        ("/own", "HTTP/1.1 200 Fine By Me"),
        ("/unknown", "HTTP/1.1 599 Tired"),
        ("/silent", "HTTP/1.1 299 "),
        ("/bare", "HTTP/1.1 299"),
        ("/plain", "HTTP/1.1 404 Not Found"),
    ] {
        answers(&origin, path, format!("{line}\r\nContent-Length: 0\r\n\r\n"), Then::Keep);
    }
    let edge = Setup::to(&origin).start();
    for (path, line) in [
        ("/own", "HTTP/1.1 200 Fine By Me"),
        ("/unknown", "HTTP/1.1 599 Tired"),
        ("/silent", "HTTP/1.1 299 "),
        ("/bare", "HTTP/1.1 299 "),
        ("/plain", "HTTP/1.1 404 Not Found"),
    ] {
        let answer = edge.get(path);
        assert_eq!(answer.head.raw.lines().next(), Some(line), "{path}");
    }
    assert_eq!(edge.h2("app.test").get("/unknown").status, 599);
}

#[test]
fn a_head_that_is_too_large_is_a_502_that_says_so() {
    let origin = Origin::start("blue");
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: 1\r\n")).collect::<String>();
    let long = |kib: usize| format!("X-Long: {}\r\n", "a".repeat(kib * 1024));
    let end = "Content-Length: 2\r\n\r\nok";
    for (path, fields) in [("/few", many(29)), ("/many", many(31)), ("/fits", long(15)), ("/long", long(17))] {
        answers(&origin, path, format!("HTTP/1.1 200 OK\r\n{fields}{end}"), Then::Close);
    }
    let edge = Setup::to(&origin).service("response_headers = 30\nresponse_header_size = \"16KiB\"").start();
    for (path, status) in [("/few", 200), ("/fits", 200), ("/many", 502), ("/long", 502)] {
        let answer = edge.get(path);
        assert_eq!(answer.status, status, "{path}");
        if status == 502 {
            assert!(answer.text().contains("head of the backend's answer is too large"), "{}", answer.text());
            assert_eq!(edge.logged(answer.id())["error"], "upstream_head_too_large");
        }
    }
}

#[test]
fn an_http2_client_gets_502_for_a_head_that_it_can_not_take() {
    let origin = Origin::start("blue");
    for (path, kib) in [("/small", 40), ("/large", 200)] {
        let fields = format!("X-Long: {}\r\n", "a".repeat(kib * 1024));
        answers(&origin, path, format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok"), Then::Keep);
    }
    let edge = Setup::to(&origin).start();
    assert_eq!(edge.plain().get("/large").text(), "ok", "HTTP/1.1 has no such bound");
    for (path, statuses) in [("/small", "200"), ("/large", "502")] {
        assert_eq!(curl_h2(&edge, path, &[]).0, statuses, "{path}");
    }
    let is_there = |line: &serde_json::Value| line["status"] == 502 && line["error"] == "upstream_head_too_large";
    wait_until("its line in the log", || edge.access_log().iter().any(is_there));
}

/// The status that curl has seen over HTTP/2, and its exit code.
fn curl_h2(edge: &Edge, path: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let to = format!("app.test:{}:{}", edge.https().port(), edge.https().ip());
    let url = format!("https://app.test:{}{path}", edge.https().port());
    let output = std::process::Command::new("curl")
        .args([
            "--silent",
            "--insecure",
            "--http2",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ])
        .args(["--resolve", &to])
        .args(arguments)
        .arg(&url)
        .output()
        .expect("curl");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn a_refused_upload_reaches_curl_over_http2() {
    let origin = Origin::start("blue");
    let zone = "[zone.few]\nkey = \"global\"\nrate = \"1r/h\"\nburst = 0";
    let route = "[[site.route]]\npath = \"/limited/\"\nlimit = [\"few\"]\nservice = \"app\"";
    let edge = Setup::to(&origin).and(zone).and(route).site("body_size = \"64KiB\"").start();
    let body = edge.path("body");
    std::fs::write(&body, vec![7; 3 << 20]).unwrap();
    let upload = format!("@{}", body.display());
    let mut got = Vec::new();
    for n in 0..30 {
        let path = if n % 2 == 0 { "/large" } else { "/limited/" };
        got.push(curl_h2(&edge, path, &["--data-binary", &upload]));
    }
    let statuses: Vec<_> = got.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == "413").count(), 30, "{got:?}");
    for n in 0..30 {
        let (status, code) = curl_h2(&edge, "/limited/", &["--data-binary", "0123456789"]);
        let expected = if n == 0 { "200" } else { "429" };
        assert_eq!((status.as_str(), code), (expected, Some(0)), "request {n}");
    }
}

#[test]
fn an_answer_that_comes_while_the_upload_runs_reaches_the_client() {
    let origin = Origin::start("blue");
    for (path, status) in [("/413", "413 Content Too Large"), ("/401", "401 Unauthorized")] {
        origin.on(path, move |_, wire| {
            wire.send(format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nno!\n"));
            // With the body unread: the backend's system answers what still comes with a reset.
            Then::Close
        });
    }
    let edge = Setup::to(&origin).site("body_size = \"64MiB\"").start();
    let body = vec![7; 4 << 20];
    for round in 0..20 {
        for status in [413, 401] {
            let path = format!("/{status}");
            let mut client = edge.plain();
            client.begin("POST", &path, &format!("Content-Length: {}\r\n", body.len()));
            let _ = client.try_send(&body);
            let answer = client.try_answer().unwrap_or_else(|| panic!("round {round}: {path} was not answered"));
            assert_eq!((answer.status, answer.text().as_str()), (status, "no!\n"), "round {round}");
            let mut h2 = edge.h2("app.test");
            let (answer, mut stream) = h2.begin(h2.request("POST", &path), false).unwrap();
            // The stream may be reset before all of it is sent: without an error, once it is answered.
            let _ = h2.run(send_all(&mut stream, body.clone().into(), true));
            assert_eq!(h2.finish(answer).unwrap().status, status, "round {round}");
        }
    }
}

#[test]
fn a_body_of_a_get_goes_on_framed() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    for method in ["GET", "DELETE", "OPTIONS"] {
        client.begin(method, "/echo", "Transfer-Encoding: chunked\r\n").send("3\r\nabc\r\n0\r\n\r\n");
        assert_eq!(client.answer().text(), "abc", "{method}");
        client.begin(method, "/echo", "Content-Length: 3\r\n").send("abc");
        assert_eq!(client.answer().text(), "abc", "{method}");
    }
    client.begin("HEAD", "/echo", "Transfer-Encoding: chunked\r\n").send("3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer_to("HEAD").get("content-length"), Some("3"));
    assert_eq!(client.get("/").text(), "blue", "the connection is good");
    let mut h2 = edge.h2("app.test");
    let request = h2.request("GET", "/echo");
    assert_eq!(h2.ask(request, b"abc", None).unwrap().text(), "abc", "without a length over HTTP/2");
    assert_eq!(origin.saw("/echo").head.all("transfer-encoding"), ["chunked"]);
}

#[test]
fn an_upgrade_is_only_to_what_was_asked_for() {
    let origin = Origin::start("blue");
    for (path, named) in [("/same", "Upgrade: WebSocket\r\n"), ("/other", "Upgrade: h2c\r\n"), ("/unnamed", "")] {
        answers(
            &origin,
            path,
            format!("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n{named}\r\n"),
            Then::Close,
        );
    }
    let edge = Setup::to(&origin).start();
    for (path, status) in [("/same", 101), ("/other", 502), ("/unnamed", 101)] {
        let mut client = edge.plain();
        client.begin("GET", path, "Connection: upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n");
        assert_eq!(client.head().unwrap().word(1), status.to_string(), "{path}");
        let head = origin.saw(path).head;
        assert_eq!((head.get("connection"), head.get("te")), (Some("upgrade, TE"), Some("trailers")), "{path}");
    }
    // RFC 9110, 7.8: an Upgrade in HTTP/1.0 is ignored.
    origin.answers("/ten", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut client = edge.plain();
    client.send("GET /ten HTTP/1.0\r\nHost: plain.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.answer().text(), "ok");
    let head = origin.saw("/ten").head;
    assert_eq!((head.get("connection"), head.get("upgrade")), (None, None), "{head:?}");
}

#[test]
fn trailers_of_an_answer_change_nothing_of_its_head() {
    let origin = Origin::start("blue");
    let trailers =
        "Set-Cookie: a=b\r\nX-Frame-Options: ALLOWALL\r\nX-Own: 1\r\nX-Sum: 1\r\nContent-Type: text/html\r\n";
    let head = "Trailer: Set-Cookie, X-Frame-Options, X-Own, X-Sum, Content-Type\r\nTransfer-Encoding: chunked";
    answers(&origin, "/", format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n"), Then::Keep);
    let edge =
        Setup::to(&origin).site("headers = \"own\"").and("[headers.own]\nbase = \"secure\"\nX-Own = \"2\"").start();
    let answer = edge.h2("app.test").get("/");
    let trailers = answer.trailers.expect("trailers");
    assert_eq!(trailers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"], "{trailers:?}");
    let mut client = edge.plain();
    client.begin("GET", "/", "TE: trailers\r\nConnection: TE\r\n");
    let answer = client.answer();
    assert_eq!(answer.text(), "ok");
    assert!(!answer.trailers.to_lowercase().contains("set-cookie"), "{}", answer.trailers);
}

#[test]
fn a_slow_answer_behind_a_contradictory_one_is_not_mixed_with_it() {
    let origin = Origin::start("blue");
    let smuggled = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";
    let raw = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{smuggled}"
    );
    answers(&origin, "/", raw, Then::Keep);
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "ok");
        assert_eq!(client.get("/next").text(), "blue");
    }
    wait_until("the connections to be closed", || origin.accepted() > 5);
}

#[test]
fn an_answer_without_content_has_no_length() {
    let origin = Origin::start("blue");
    answers(&origin, "/204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Then::Close);
    let edge = Setup::to(&origin).start();
    let answer = edge.get("/204");
    assert_eq!((answer.status, answer.get("content-length")), (204, None));
    let answer = edge.h2("app.test").get("/204");
    assert_eq!((answer.status, answer.get("content-length"), answer.body.len()), (204, None, 0));
}
