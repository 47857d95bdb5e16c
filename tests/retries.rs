//! A request is tried again when that is safe, never when it may have been processed.

use std::net::TcpListener;

use crate::support::{Origin, Setup, Then, assert_has_our_fields, wait_until};

#[test]
fn a_refused_connection_is_tried_on_another_backend() {
    let (good, gone) = (Origin::start("good"), Origin::start("gone"));
    let edge = Setup::pool(&[good.backend(), gone.backend()]).health("interval = \"1h\"").start();
    wait_until("both to be up", || edge.metric("edge_backend_up") == 2.0);
    gone.stop();
    let mut client = edge.plain();
    for n in 0..10 {
        assert_eq!(client.get("/").text(), "good");
        assert_eq!(client.post("/echo", "body").text(), "body", "POST {n} was not sent before");
    }
    assert!(edge.metric("edge_upstream_retries_total") > 0.0);
    assert!(edge.metric("edge_upstream_failures_total{service=\"app\",color=\"\",reason=\"connect_failed\"}") > 0.0);
}

#[test]
fn a_connection_that_the_backend_closed_while_idle_is_no_error() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    for round in 0..20 {
        let mut client = edge.plain();
        assert_eq!(client.get("/").status, 200);
        origin.close_connections();
        let answer = if round % 2 == 0 { client.get("/") } else { client.post("/echo", "body") };
        assert_eq!(answer.status, 200, "round {round}");
    }
    assert_eq!(origin.count("/echo"), 10, "no POST was sent twice");
}

#[test]
fn a_get_on_a_connection_reset_before_the_answer_is_sent_again() {
    let origin = Origin::start("blue");
    origin.on("/once", {
        let times = std::sync::atomic::AtomicUsize::new(0);
        move |_, wire| {
            if times.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
            Then::Close
        }
    });
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    assert_eq!(client.get("/").status, 200, "so that the next one is on a kept connection");
    assert_eq!(client.get("/once").text(), "ok");
    assert_eq!(origin.count("/once"), 2);
}

#[test]
fn a_get_that_one_backend_resets_is_answered_by_another() {
    let (good, bad) = (Origin::start("good"), Origin::start("bad"));
    for path in ["/one", "/two", "/three", "/four"] {
        bad.on(path, |_, _| Then::Close);
    }
    let edge = Setup::pool(&[good.backend(), bad.backend()]).start();
    wait_until("both to be up", || edge.metric("edge_backend_up") == 2.0);
    for path in ["/one", "/two", "/three", "/four"] {
        assert_eq!(edge.get(path).text(), "good");
    }
    assert!(!bad.seen().is_empty());
}

#[test]
fn a_post_that_was_sent_is_not_sent_twice() {
    let origin = Origin::start("blue");
    let other = Origin::start("green");
    for origin in [&origin, &other] {
        origin.on("/order", |head, wire| {
            wire.body(&head.request_framing());
            Then::Close
        });
        origin.on("/bare", |_, _| Then::Close);
    }
    let edge = Setup::pool(&[origin.backend(), other.backend()]).start();
    wait_until("both to be up", || edge.metric("edge_backend_up") == 2.0);
    let mut client = edge.plain();
    for n in 1..=4 {
        // On a fresh connection, then on a kept one.
        let answer = client.post("/order", "one coffee");
        assert_eq!(answer.status, 502);
        assert_has_our_fields(&answer);
        assert!(answer.text().contains("closed the connection without an answer"), "{}", answer.text());
        assert_eq!(origin.count("/order") + other.count("/order"), n);
        let answer = client.ask("POST", "/bare", "Content-Length: 0\r\n", "");
        assert_eq!((answer.status, origin.count("/bare") + other.count("/bare")), (502, n), "without a body");
        client.get("/");
    }
}

#[test]
fn retries_are_bounded() {
    let origins = ["a", "b", "c", "d"].map(Origin::start);
    for origin in &origins {
        origin.on("/poison", |_, _| Then::Close);
    }
    let backends = origins.each_ref().map(Origin::backend);
    let edge = Setup::pool(&backends).service("retries = 2").start();
    wait_until("all to be up", || edge.metric("edge_backend_up") == 4.0);
    assert_eq!(edge.get("/poison").status, 502);
    assert_eq!(origins.iter().map(|origin| origin.count("/poison")).sum::<usize>(), 3);
    assert_eq!(edge.logged_path("/poison")["attempts"], 3);
}

#[test]
fn every_failure_has_its_status_and_its_text() {
    let origin = Origin::start("blue");
    origin.on("/silent", |_, wire| {
        wire.closes_within(crate::support::seconds(5));
        Then::Close
    });
    origin.on("/nonsense", |_, wire| {
        wire.send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
        Then::Close
    });
    origin.on("/gone", |_, _| Then::Close);
    let edge = Setup::to(&origin).service("response_timeout = \"500ms\"\nretries = 0").start();
    for (path, status, reason, words) in [
        ("/silent", 504, "response_timeout", "did not answer in time"),
        ("/nonsense", 502, "upstream_invalid", "could not be understood"),
        ("/gone", 502, "upstream_reset", "closed the connection without an answer"),
    ] {
        let answer = edge.get(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
        assert_has_our_fields(&answer);
        let json = edge.plain().ask("GET", path, "Accept: application/json\r\n", "");
        let problem: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&reason.into(), &status.into()), "{problem}");
        assert_eq!(problem["request_id"], json.id());
        assert_eq!(edge.logged(json.id())["error"], reason);
    }
    let posted = edge.plain().post("/silent", "the whole of it");
    assert_eq!((posted.status, edge.logged(posted.id())["error"].as_str()), (504, Some("response_timeout")));
}

#[test]
fn without_a_healthy_backend_the_answer_is_503_with_retry_after() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).health("fall = 1").start();
    origin.set_health(500);
    wait_until("the backend to be down", || edge.metric("edge_backend_up") == 0.0);
    let answer = edge.get("/");
    assert_eq!((answer.status, answer.get("retry-after")), (503, Some("5")));
    assert!(answer.text().contains("no healthy backend"), "{}", answer.text());
    origin.set_health(200);
    wait_until("the backend to be back", || edge.get("/").status == 200);
}

#[test]
fn a_backend_that_takes_no_connection_is_answered_with_504() {
    // Its queue is full and nothing accepts, so the kernel leaves further connections unanswered.
    let origin = Origin::start("blue");
    let addr = origin.addr();
    let edge =
        Setup::to(&origin).health("interval = \"1h\"").service("connect_timeout = \"500ms\"\nretries = 0").start();
    origin.stop();
    wait_until("the port to be free", || TcpListener::bind(addr).is_ok());
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket.listen(0).unwrap();
    let _filling: Vec<_> =
        (0..4).map(|_| std::net::TcpStream::connect_timeout(&addr, std::time::Duration::from_millis(100))).collect();
    let answer = edge.get("/");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert!(answer.text().contains("could not be reached in time"), "{}", answer.text());
}
