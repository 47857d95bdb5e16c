//! A WebSocket is a pipe: nothing is lost at its beginning, in its silence or at its end.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::support::frames::{closing, frame, masked};
use crate::support::{Client, Edge, Origin, Setup, Then, seconds, wait_until};

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
fn silence_longer_than_every_other_timeout_closes_no_websocket() {
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
fn silence_longer_than_its_own_timeout_closes_a_websocket() {
    let origin = origin();
    let edge = Setup::to(&origin).service("websocket_idle_timeout = \"500ms\"").start();
    let mut client = open(edge.plain());
    assert_echoes(&mut client, "hello");
    assert!(client.closes_within(seconds(3)));
}

#[test]
fn three_hundred_websockets_at_once_lose_nothing() {
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
fn a_101_that_was_not_asked_for_is_a_bad_gateway() {
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

/// A frame from the backend with a payload of 64 KiB, in two halves.
fn large() -> (Vec<u8>, Vec<u8>) {
    let mut frame = vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    frame.extend(vec![0x88; 0x1_0000]);
    let rest = frame.split_off(frame.len() / 2);
    (frame, rest)
}

/// A backend that echoes frames, answers a Close with the same, and reports the last frame.
fn speaking() -> (Origin, Receiver<(u8, bool, Vec<u8>)>) {
    let origin = Origin::start("blue");
    let (heard, hearing) = channel();
    origin.on("/ws", move |_, wire| {
        wire.send(format!("{SWITCH}\u{1}\u{7}welcome"));
        while let Ok((first, is_masked, payload)) = frame(wire) {
            wire.send([&[first, u8::try_from(payload.len()).unwrap()], &*payload].concat());
            if first == 0x88 {
                heard.send((first, is_masked, payload)).unwrap();
                break;
            }
        }
        Then::Close
    });
    (origin, hearing)
}

/// Opens a WebSocket and goes past the 101 and the first messages.
fn speak(mut client: Client) -> Client {
    client.begin("GET", "/ws", ASK);
    assert_eq!(client.head().expect("an answer").word(1), "101");
    assert_eq!(frame(&mut client).unwrap(), (1, false, b"welcome".to_vec()));
    client.send(masked(1, b"hello"));
    assert_eq!(frame(&mut client).unwrap(), (0x81, false, b"hello".to_vec()));
    client
}

fn cut(edge: &Edge) {
    edge.admin(&["switch", "green", "--drain", "50ms", "--no-wait"]).ok();
}

#[test]
fn a_drain_that_cuts_sends_service_restart_to_both_sides_and_waits_for_their_answers() {
    for tls in [false, true] {
        let ((blue, heard), green) = (speaking(), Origin::start("green"));
        let edge = Setup::colors(&blue, &green).start();
        let mut client = speak(if tls { edge.tls("app.test") } else { edge.plain() });
        cut(&edge);
        assert_eq!(frame(&mut client).unwrap(), (0x88, false, closing(1012, "service restart")));
        let (first, is_masked, payload) = heard.recv_timeout(seconds(5)).unwrap();
        assert_eq!((first, is_masked, payload), (0x88, true, closing(1012, "service restart")));
        let begun = Instant::now();
        client.send(masked(8, &closing(1012, "")));
        assert!(client.ends_well());
        assert!(begun.elapsed() < Duration::from_millis(800), "it waited although both had answered");
        let line = edge.logged_path("/ws");
        assert_eq!((&line["error"], &line["status"]), (&"drain_cut".into(), &101.into()), "{line}");
    }
}

#[test]
fn a_frame_under_way_is_finished_before_the_close() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    blue.on("/ws", |_, wire| {
        let (half, rest) = large();
        wire.send(SWITCH).send(half);
        // The Close comes at once, since no frame is under way in this direction. Then follow the rest of the frame, and one that
        // comes too late.
        assert_eq!(frame(wire).unwrap().2, closing(1012, "service restart"));
        wire.send(rest).send([0x81, 2, b'n', b'o']).send([0x88, 0]);
        wire.closes_within(seconds(3));
        Then::Close
    });
    let edge = Setup::colors(&blue, &green).start();
    for mut client in [edge.plain(), edge.tls("app.test")] {
        edge.admin(&["switch", "blue", "--no-wait"]).ok();
        client.begin("GET", "/ws", ASK);
        client.head().unwrap();
        let (half, rest) = large();
        assert_eq!(client.exactly(half.len()).unwrap(), half);
        cut(&edge);
        assert_eq!(client.exactly(rest.len()).unwrap(), rest);
        assert_eq!(frame(&mut client).unwrap(), (0x88, false, closing(1012, "service restart")));
        client.send(masked(8, b""));
        assert_eq!(client.some().unwrap(), b"");
    }
}

#[test]
fn no_close_is_sent_inside_a_frame_that_does_not_end() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    blue.on("/ws", |_, wire| {
        wire.send(SWITCH).send(large().0);
        wire.closes_within(seconds(8));
        Then::Close
    });
    let edge = Setup::colors(&blue, &green).start();
    let mut client = edge.plain();
    client.begin("GET", "/ws", ASK);
    client.head().unwrap();
    client.exactly(large().0.len()).unwrap();
    cut(&edge);
    assert_eq!(client.some().unwrap(), b"", "nothing comes but the end");
}

#[test]
fn another_protocol_than_websocket_is_simply_closed() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    blue.on("/chat", |_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhi");
        assert_eq!(wire.some().unwrap(), b"", "the proxy adds nothing");
        Then::Close
    });
    let edge = Setup::colors(&blue, &green).start();
    let mut client = edge.plain();
    client.begin("GET", "/chat", "Connection: Upgrade\r\nUpgrade: chat\r\n");
    assert_eq!(client.head().unwrap().word(1), "101");
    assert_eq!(client.exactly(2).unwrap(), b"hi");
    cut(&edge);
    assert_eq!(client.some().unwrap(), b"");
    wait_until("its end", || edge.status()["pools"][0]["in_flight"] == 0);
}

#[test]
fn websockets_that_are_silent_too_long_or_left_at_the_shutdown_get_going_away() {
    let (origin, heard) = speaking();
    let edge = Setup::to(&origin).service("websocket_idle_timeout = \"500ms\"").start();
    let mut client = speak(edge.plain());
    assert_eq!(frame(&mut client).unwrap(), (0x88, false, closing(1001, "going away")));
    assert_eq!(heard.recv_timeout(seconds(5)).unwrap(), (0x88, true, closing(1001, "going away")));
    drop(edge);
    let mut edge = Setup::to(&origin).start();
    let mut client = speak(edge.tls("app.test"));
    edge.terminate();
    assert_eq!(frame(&mut client).unwrap(), (0x88, false, closing(1001, "going away")));
    assert_eq!(heard.recv_timeout(seconds(5)).unwrap(), (0x88, true, closing(1001, "going away")));
    client.send(masked(8, &closing(1001, "")));
    assert!(client.closes_within(seconds(3)));
    assert!(edge.wait().success());
}

#[test]
fn a_close_of_either_side_is_passed_on_and_no_second_one_follows() {
    let (origin, heard) = speaking();
    let edge = Setup::to(&origin).start();
    let mut client = speak(edge.plain());
    client.send(masked(8, &closing(1000, "")));
    assert_eq!(frame(&mut client).unwrap(), (0x88, false, closing(1000, "")));
    assert_eq!(heard.recv_timeout(seconds(5)).unwrap(), (0x88, true, closing(1000, "")));
    assert_eq!(client.some().unwrap(), b"");
}
