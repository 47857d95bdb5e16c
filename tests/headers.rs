//! Every answer carries the security headers, every backend gets the truth about the client, and no field of one hop reaches the
//! next.

use crate::support::{Answer, Origin, Setup, assert_has_our_fields};

#[test]
fn every_answer_carries_the_security_headers_and_an_id() {
    let origin = Origin::start("blue");
    origin.on("/gone", |_, _| crate::support::Then::Close);
    let edge = Setup::to(&origin)
        .site("body_size = \"1KiB\"")
        .and(
            "[[site.route]]\npath = \"/limited/\"\nlimit = [\"one\"]\n\
             [[site.route]]\npath = \"/old/\"\nredirect = { to = \"/new/\", status = 301 }\n\
             [[site.route]]\npath = \"/denied/\"\ndeny = [\"127.0.0.0/8\"]\n\
             [zone.one]\nrate = \"1r/h\"\nburst = 0\n",
        )
        .start();
    let tls = || edge.tls("app.test");
    let mut misdirected = tls();
    misdirected.send("GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
    let mut unknown = edge.plain();
    unknown.send("GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
    let mut to_https = edge.plain();
    to_https.send("GET /x?y HTTP/1.1\r\nHost: app.test\r\n\r\n");
    tls().get("/limited/");
    let answers: Vec<(u16, Answer)> = vec![
        (200, tls().get("/")),
        (301, tls().get("/old/page")),
        (301, to_https.answer()),
        (400, tls().ask("GET", "/", "Connection: host\r\n", "")),
        (403, tls().get("/denied/")),
        (404, unknown.answer()),
        (405, tls().ask("TRACE", "/", "", "")),
        (413, tls().ask("POST", "/", "Content-Length: 2000\r\n", "")),
        (421, misdirected.answer()),
        (429, tls().get("/limited/")),
        (502, tls().get("/gone")),
    ];
    for (status, answer) in &answers {
        assert_eq!(answer.status, *status, "{:?}", answer.head);
        assert_has_our_fields(answer);
        assert_eq!(edge.logged(answer.id())["status"], *status);
    }
    assert_eq!(answers[1].1.get("location"), Some("/new/page"));
    let port = edge.https().port();
    assert_eq!(answers[2].1.get("location"), Some(&*format!("https://app.test:{port}/x?y")));
    let hsts = |answer: &Answer| answer.get("strict-transport-security").map(str::to_owned);
    assert_eq!(hsts(&answers[0].1).as_deref(), Some("max-age=31536000"));
    assert_eq!(hsts(&answers[5].1), None, "HSTS is for TLS only");
}

#[test]
fn fields_that_the_backend_sets_are_kept_except_those_that_describe_it() {
    let origin = Origin::start("blue");
    origin.answers(
        "/own",
        "HTTP/1.1 200 OK\r\nX-Frame-Options: DENY\r\nServer: gunicorn\r\nX-Powered-By: PHP\r\n\
         X-Request-ID: forged\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    let edge = Setup::to(&origin).start();
    let answer = edge.get("/own");
    assert_eq!(answer.head.all("x-frame-options"), ["DENY"]);
    assert_eq!((answer.get("server"), answer.get("x-powered-by")), (None, None));
    assert_eq!(answer.head.all("set-cookie"), ["a=1", "b=2"]);
    assert_ne!(answer.id(), "forged");
}

#[test]
fn the_backend_gets_the_clients_address_and_forged_fields_are_dropped() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let forged = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\n\
                  X-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Request-ID: forged\r\n\
                  X_Forwarded_For: 6.6.6.6\r\ntraceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n";
    let answer = edge.tls("app.test").ask("GET", "/", forged, "");
    let head = origin.saw("/").head;
    let port = edge.https().port().to_string();
    for (name, value) in [
        ("host", "app.test"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.test"),
        ("x-forwarded-port", &port),
        ("x-real-ip", "127.0.0.1"),
        ("x-request-id", answer.id()),
    ] {
        assert_eq!(head.all(name), [value], "{name}: {head:?}");
    }
    assert_eq!(head.all("forwarded").len() + head.all("x_forwarded_for").len(), 0, "{head:?}");
    assert!(!head.get("traceparent").unwrap().contains("1111"), "{head:?}");
}

#[test]
fn a_trusted_proxy_is_believed_and_appended_to() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).server("trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]").start();
    let told = "X-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.1.1\r\nX-Forwarded-Proto: https\r\n\
                X-Request-ID: from-the-balancer-1\r\n\
                traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n";
    let answer = edge.plain().ask("GET", "/", told, "");
    let head = origin.saw("/").head;
    assert_eq!(head.all("x-forwarded-for").join(", "), "6.6.6.6, 203.0.113.7, 10.1.1.1, 127.0.0.1");
    assert_eq!(head.get("x-real-ip"), Some("203.0.113.7"), "the nearest address that is not a trusted proxy");
    assert_eq!(head.get("x-forwarded-proto"), Some("https"));
    assert_eq!((answer.id(), head.get("x-request-id")), ("from-the-balancer-1", Some("from-the-balancer-1")));
    assert!(head.get("traceparent").unwrap().starts_with("00-11111111111111111111111111111111-"));
    assert_eq!(edge.logged("from-the-balancer-1")["client"], "203.0.113.7");
    let answer = edge.plain().ask("GET", "/", "X-Request-ID: <script>\r\n", "");
    assert_eq!(answer.id().len(), 36, "an invalid id is replaced");
}

#[test]
fn hop_by_hop_headers_stop_in_both_directions() {
    let origin = Origin::start("blue");
    origin.answers(
        "/back",
        "HTTP/1.1 200 OK\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Connection: keep-alive\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
    );
    let edge = Setup::to(&origin).start();
    let sent = "Connection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\
                TE: gzip\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\nX-Kept: 1\r\n";
    edge.plain().ask("GET", "/", sent, "");
    let head = origin.saw("/").head;
    let private = ["connection", "x-private", "keep-alive", "proxy-connection", "te", "upgrade", "proxy-authorization"];
    for name in private {
        assert_eq!(head.get(name), None, "{head:?}");
    }
    assert_eq!(head.get("x-kept"), Some("1"));
    let answer = edge.get("/back");
    for name in ["connection", "x-private", "keep-alive", "upgrade", "proxy-connection"] {
        assert_eq!(answer.get(name), None, "{:?}", answer.head);
    }
    assert_eq!(answer.get("x-kept"), Some("1"));
}

#[test]
fn the_connection_field_can_not_remove_what_must_arrive() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut refused = Vec::new();
    for name in ["Host", "X-Forwarded-For", "x-forwarded-proto", "X-Real-IP", "X-Request-ID", "close, Cookie"] {
        let answer = edge.plain().ask("GET", "/", &format!("Connection: {name}\r\n"), "");
        assert_eq!(answer.status, 400, "{name}");
        refused.push(answer.id().to_owned());
    }
    for id in refused {
        assert_eq!(edge.logged(&id)["error"], "bad_connection_header");
    }
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn one_id_is_in_the_answer_the_backend_and_the_log() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let answer = edge.h2("app.test").get("/page?token=secret&q=1");
    let id = answer.get("x-request-id").unwrap();
    assert_eq!(&id[14..15], "7", "a UUIDv7: {id}");
    assert_eq!(origin.saw("/page").head.get("x-request-id"), Some(id));
    let line = edge.logged(id);
    for (field, value) in [
        ("method", "GET"),
        ("host", "app.test"),
        ("path", "/page"),
        ("protocol", "HTTP/2.0"),
        ("tls", "1.3"),
        ("service", "app"),
        ("backend", origin.backend()),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(line[field], value, "{field}: {line}");
    }
    assert!(!line["query"].as_str().unwrap().contains("secret"), "{line}");
    assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &1.into()));
    assert!(line["error"].is_null(), "{line}");
}

#[test]
fn the_strict_preset_overrides_the_backend_and_a_table_overrides_the_preset() {
    let origin = Origin::start("blue");
    origin.answers("/own", "HTTP/1.1 200 OK\r\nX-Frame-Options: SAMEORIGIN\r\nContent-Length: 0\r\n\r\n");
    let mine = "[headers.mine]\nbase = \"strict\"\nX-Team = \"edge\"\nReferrer-Policy = false\n";
    let edge = Setup::to(&origin).site("headers = \"mine\"").and(mine).start();
    let answer = edge.tls("app.test").get("/own");
    assert_eq!(answer.head.all("x-frame-options"), ["DENY"]);
    assert_eq!(answer.get("x-team"), Some("edge"));
    assert_eq!(answer.get("referrer-policy"), None);
    assert!(answer.get("strict-transport-security").unwrap().starts_with("max-age=31536000"));
    assert!(answer.get("content-security-policy").is_some());
}
