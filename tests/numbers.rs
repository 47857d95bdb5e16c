//! Requests and failures are counted for each colour: a failure is the backend's, never what a client or a drain has ended.

use bytes::Bytes;
use serde_json::Value;

use crate::support::h2::{H2Origin, receive, send_all};
use crate::support::load::open_websocket;
use crate::support::{Edge, Origin, Setup, Then, seconds, serves_load, wait_for, wait_until};

/// A pool in the status.
fn pool(edge: &Edge, index: usize) -> Value {
    edge.status()["pools"][index].clone()
}

/// Waits until the pool has counted `requests`, and checks that `failed` of them count as failed.
#[track_caller]
fn counts(edge: &Edge, index: usize, requests: u64, failed: u64) {
    let counted = || (pool(edge, index)["requests"].as_u64().unwrap(), pool(edge, index)["failed"].as_u64().unwrap());
    wait_for("the request to be counted", || (counted().0 >= requests).then_some(()));
    assert_eq!(counted(), (requests, failed));
}

#[test]
fn a_backends_failures_count_and_a_clients_do_not() {
    let origin = Origin::start("blue");
    origin.answers("/500", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    origin.answers("/404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    origin.on("/gone", |_, _| Then::Close);
    origin.on("/half", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        Then::Close
    });
    origin.on("/silent", |_, wire| {
        wire.closes_within(seconds(20));
        Then::Close
    });
    origin.on("/stalls", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        wire.closes_within(seconds(20));
        Then::Close
    });
    let edge = Setup::to(&origin).service("retries = 0\nread_timeout = \"300ms\"").start();
    assert_eq!(edge.get("/").status, 200);
    counts(&edge, 0, 1, 0);
    assert_eq!(edge.get("/404").status, 404);
    counts(&edge, 0, 2, 0);
    assert_eq!(edge.get("/500").status, 500);
    counts(&edge, 0, 3, 1);
    assert_eq!(edge.get("/gone").status, 502);
    counts(&edge, 0, 4, 2);
    for path in ["/half", "/stalls"] {
        let mut client = edge.plain();
        client.begin("GET", path, "").head().unwrap();
        assert!(client.closes_within(seconds(5)));
    }
    counts(&edge, 0, 6, 4);
    // A client that leaves before the answer.
    let mut client = edge.plain();
    client.begin("GET", "/silent", "");
    origin.saw("/silent");
    drop(client);
    counts(&edge, 0, 7, 4);
    // A request that never enters a pool.
    assert_eq!(edge.plain().ask("GET", "/%zz", "", "").status, 400);
    assert_eq!(pool(&edge, 0)["requests"], 7);
}

#[test]
fn a_tunnel_is_no_failure_however_it_ends() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    serves_load(&blue, "blue");
    let edge = Setup::colors(&blue, &green).start();
    let (mut closed, _) = open_websocket(edge.http()).unwrap();
    let (_cut, _) = open_websocket(edge.http()).unwrap();
    closed.cut();
    counts(&edge, 0, 1, 0);
    edge.admin(&["switch", "green", "--drain", "100ms"]).ok();
    counts(&edge, 0, 2, 0);
    assert!(pool(&edge, 0)["p95_ms"].is_null(), "the head of a tunnel counts as no answer");
}

#[test]
fn a_drain_that_cuts_is_not_the_backends_fault() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    for path in ["/silent", "/stalls"] {
        blue.on(path, |head, wire| {
            if head.word(1) == "/stalls" {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
            }
            wire.closes_within(seconds(20));
            Then::Close
        });
    }
    let edge = Setup::colors(&blue, &green).start();
    let (mut silent, mut stalls) = (edge.plain(), edge.plain());
    silent.begin("GET", "/silent", "");
    stalls.begin("GET", "/stalls", "").head().unwrap();
    blue.saw("/silent");
    edge.admin(&["switch", "green", "--drain", "100ms"]).ok();
    counts(&edge, 0, 2, 0);
    assert_eq!(silent.answer().status, 503);
}

#[test]
fn the_last_minutes_are_shown_for_each_colour() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    blue.answers("/500", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    let edge = Setup::colors(&blue, &green).start();
    wait_until("a first sample", || {
        edge.get("/500");
        edge.get("/");
        pool(&edge, 0)["per_second"].as_f64().unwrap() > 0.0
    });
    let (blue, green) = (pool(&edge, 0), pool(&edge, 1));
    let rate = blue["error_rate"].as_f64().unwrap();
    assert!((0.4..=0.6).contains(&rate), "{blue}");
    let (p50, p95) = (blue["p50_ms"].as_f64().unwrap(), blue["p95_ms"].as_f64().unwrap());
    assert!(p50 > 0.0 && p95 >= p50, "{blue}");
    assert_eq!((green["requests"].as_u64(), green["per_second"].as_f64()), (Some(0), Some(0.0)));
    assert!(green["error_rate"].is_null() && green["p95_ms"].is_null(), "{green}");
}

#[test]
fn an_upload_that_ends_badly_during_the_answer_is_not_the_backends_failure() {
    let origin = H2Origin::start();
    let edge = Setup::pool(&[&origin.backend()]).limits("body_timeout = \"2s\"\nbody_size = \"1KiB\"").start();
    let mut client = edge.h2("app.test");
    let ends: [(&str, usize); 2] = [("body_timeout", 0), ("body_too_large", 2000)];
    for (number, (error, more)) in ends.into_iter().enumerate() {
        let path = format!("/{error}");
        let (answer, mut up) = client.begin(client.request("POST", &path), false).unwrap();
        let mut down = client.run(answer).unwrap().into_body();
        // The backend has answered, and goes on as long as the client does.
        client.run(async { send_all(&mut up, Bytes::from_static(b"message"), false).await.unwrap() });
        assert_eq!(client.run(down.data()).unwrap().unwrap(), "message");
        up.send_data(vec![b'x'; more].into(), false).unwrap();
        assert!(client.run(async { receive(&mut down).await.is_err() }), "the answer ended as if it were whole");
        assert_eq!(edge.logged_path(&path)["error"], error);
        counts(&edge, 0, number as u64 + 1, 0);
    }
}

#[test]
fn an_upload_that_is_malformed_during_the_answer_is_not_the_backends_failure() {
    let origin = Origin::start("blue");
    origin.on("/early", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\n\r\nearly");
        wire.closes_within(seconds(20));
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("POST", "/early", "Transfer-Encoding: chunked\r\n").send("3\r\nabc\r\n");
    client.head().unwrap();
    client.send("no number\r\n");
    wait_until("its end", || edge.logged_path("/early")["error"] == "client_aborted");
    counts(&edge, 0, 1, 0);
}
