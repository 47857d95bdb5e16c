//! A WebSocket is a pipe: nothing is lost at its beginning, in its silence or at its end.

use std::time::Duration;

use crate::support::{Client, Edge, Origin, Setup, Then, seconds};

const ASK: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Answers 101 with its first message in the same packet, then echoes until the client has said everything.
fn origin() -> Origin {
    let origin = Origin::start("blue");
    origin.on("/ws", |head, wire| {
        assert_eq!(head.get("upgrade"), Some("websocket"));
        wire.send(format!("{SWITCH}welcome"));
        while let Ok(said) = wire.some() {
            if said.is_empty() {
                wire.send("bye");
                break;
            }
            wire.send(said);
        }
        Then::Close
    });
    origin
}

fn open(mut client: Client) -> Client {
    client.begin("GET", "/ws", ASK);
    let head = client.head().expect("an answer");
    assert_eq!(head.word(1), "101", "{head:?}");
    assert_eq!(head.get("upgrade"), Some("websocket"), "{head:?}");
    assert_eq!(head.get("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.exactly(7).unwrap(), b"welcome");
    client
}

fn assert_echoes(client: &mut Client, text: &str) {
    client.send(text);
    assert_eq!(client.exactly(text.len()).unwrap(), text.as_bytes());
}

#[test]
fn the_servers_first_bytes_may_come_with_the_101() {
    let origin = origin();
    let edge = Setup::to(&origin).start();
    for _ in 0..50 {
        assert_echoes(&mut open(edge.plain()), "hello");
        assert_echoes(&mut open(edge.tls("app.test")), "hello");
    }
    assert_eq!(origin.count("/ws"), 100);
}

#[test]
fn the_clients_first_bytes_may_come_with_the_request() {
    let origin = origin();
    let edge = Setup::to(&origin).start();
    for mut client in [edge.plain(), edge.tls("app.test")] {
        let host = client.host().to_owned();
        client.send(format!("GET /ws HTTP/1.1\r\nHost: {host}\r\n{ASK}\r\nearly"));
        assert_eq!(client.head().unwrap().word(1), "101");
        assert_eq!(client.exactly(12).unwrap(), b"welcomeearly");
    }
}

#[test]
fn silence_longer_than_every_other_timeout_is_no_reason_to_close() {
    let origin = origin();
    let edge = Setup::to(&origin)
        .limits("header_timeout = \"1s\"\nbody_timeout = \"1s\"\nkeepalive = \"1s\"")
        .service("response_timeout = \"1s\"\nread_timeout = \"1s\"")
        .start();
    let mut open = [open(edge.plain()), open(edge.tls("app.test"))];
    std::thread::sleep(seconds(4));
    for client in &mut open {
        assert_echoes(client, "still here");
    }
}

#[test]
fn silence_longer_than_its_own_timeout_is() {
    let origin = origin();
    let edge = Setup::to(&origin).service("websocket_idle_timeout = \"500ms\"").start();
    let mut client = open(edge.plain());
    assert_echoes(&mut client, "hello");
    assert!(client.closes_within(seconds(3)));
}

#[test]
fn three_hundred_at_once_lose_nothing() {
    let origin = origin();
    let edge = Setup::to(&origin).start();
    let mut all: Vec<Client> = std::thread::scope(|scope| {
        let opening: Vec<_> = (0..6)
            .map(|n| {
                let edge = &edge;
                scope.spawn(move || {
                    let connect = |_| if n % 2 == 0 { edge.plain() } else { edge.tls("app.test") };
                    (0..50).map(connect).map(open).collect::<Vec<_>>()
                })
            })
            .collect();
        opening.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(edge.metric("edge_http_requests_in_flight"), 300.0);
    for round in 0..3 {
        for (n, client) in all.iter_mut().enumerate() {
            assert_echoes(client, &format!("{round}:{n}"));
        }
    }
}

#[test]
fn a_client_that_has_said_everything_still_hears_the_server() {
    let origin = origin();
    let edge = Setup::to(&origin).start();
    for client in [edge.plain(), edge.tls("app.test")] {
        let mut client = open(client);
        client.send("last words");
        client.half_close();
        assert_eq!(client.exactly(13).unwrap(), b"last wordsbye");
        assert!(client.closes_within(seconds(5)));
    }
    let line = edge.logged_path("/ws");
    assert_eq!((&line["status"], &line["bytes_in"]), (&101.into(), &10.into()), "{line}");
    assert!(line["error"].is_null(), "{line}");
}

#[test]
fn a_server_that_has_said_everything_still_hears_the_client() {
    let origin = Origin::start("blue");
    let (heard, hearing) = std::sync::mpsc::channel();
    origin.on("/ws", move |_, wire| {
        wire.send(format!("{SWITCH}welcome"));
        wire.half_close();
        heard.send(wire.exactly(5).unwrap()).unwrap();
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    let mut client = open(edge.plain());
    assert_eq!(client.some().unwrap(), b"", "the server's end is passed on");
    client.send("heard");
    assert_eq!(hearing.recv_timeout(seconds(5)).unwrap(), b"heard");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::start("blue");
    origin.answers("/ws", "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    assert_eq!(client.ask("GET", "/ws", ASK, "").status, 403);
    assert_eq!(client.get("/").status, 200, "the connection goes on");
}

#[test]
fn a_101_that_nobody_asked_for_is_a_bad_gateway() {
    let origin = Origin::start("blue");
    origin.answers("/ws", SWITCH);
    let edge = Setup::to(&origin).start();
    assert_eq!(edge.get("/ws").status, 502);
    let filtered = edge.plain().ask("GET", "/ws", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "");
    assert_eq!(filtered.status, 502, "h2c is no upgrade here");
}

#[test]
fn limits_hold_for_upgrades_too() {
    let origin = origin();
    let edge = limited(&origin);
    let _open = open(edge.plain());
    assert_eq!(edge.plain().ask("GET", "/ws", ASK, "").status, 429);
}

fn limited(origin: &Origin) -> Edge {
    Setup::to(origin).site("limit = [\"one\"]").and("[zone.one]\nrate = \"1r/h\"\nburst = 0\n").start()
}

#[test]
fn a_large_message_waits_for_a_slow_reader() {
    const SIZE: usize = 50 << 20;
    let origin = Origin::start("blue");
    origin.on("/ws", |_, wire| {
        wire.send(format!("{SWITCH}welcome"));
        wire.send(vec![b'x'; SIZE]);
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    let before = edge.memory();
    let mut client = open(edge.plain());
    std::thread::sleep(Duration::from_millis(500));
    assert!(edge.memory() - before < 16, "{} MiB more", edge.memory() - before);
    assert_eq!(client.exactly(SIZE).unwrap().len(), SIZE);
}
