//! At the shutdown, what has no end of its own is ended first: the door is closed for as long as a request really runs, no longer.

use std::time::{Duration, Instant};

use crate::support::frames::{closing, frame};
use crate::support::load::open_websocket;
use crate::support::steps::Steps;
use crate::support::{Client, Edge, Origin, Setup, Then, colors, seconds, wait_for, wait_until};

/// What may be left of `shutdown_timeout`: all that these tests leave open has ended long before.
const SOON: Duration = seconds(4);

fn origin() -> Origin {
    let origin = Origin::start("blue");
    crate::support::serves_load(&origin, "blue");
    origin.on("/silent-ws", |_, wire| {
        wire.send(SWITCH);
        wire.closes_within(seconds(30));
        Then::Close
    });
    origin.on("/chat", |_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
        wire.closes_within(seconds(30));
        Then::Close
    });
    origin.on("/events", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
        wire.closes_within(seconds(30));
        Then::Close
    });
    origin.on("/slow", |_, wire| {
        std::thread::sleep(seconds(4));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        Then::Keep
    });
    origin
}

const ASK: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn patient(origin: &Origin) -> Edge {
    Setup::to(origin).server("shutdown_timeout = \"30s\"").start()
}

/// A WebSocket on which neither side says anything, and neither answers a Close.
fn silent_websocket(mut client: Client) -> Client {
    client.begin("GET", "/silent-ws", ASK);
    assert_eq!(client.head().unwrap().word(1), "101");
    client
}

fn ends_soon(edge: &mut Edge) {
    let told = Instant::now();
    edge.terminate();
    let status = wait_for("the end", || edge.try_wait());
    assert!(status.success() && told.elapsed() < SOON, "{status:?} after {:?}", told.elapsed());
    let log = edge.stderr();
    assert!(!log.contains("shutdown_timeout has passed"), "{log}");
}

#[test]
fn websockets_get_going_away_at_the_beginning_even_if_nobody_answers() {
    let origin = origin();
    let mut edge = patient(&origin);
    let mut open = [silent_websocket(edge.plain()), silent_websocket(edge.tls("app.test"))];
    ends_soon(&mut edge);
    for client in &mut open {
        assert_eq!(frame(client).unwrap(), (0x88, false, closing(1001, "going away")));
    }
    let line = edge.logged_path("/silent-ws");
    assert_eq!((&line["error"], &line["status"]), (&"shutdown".into(), &101.into()), "{line}");
}

#[test]
fn streams_without_an_end_and_other_tunnels_are_ended_at_the_beginning() {
    let origin = origin();
    let mut edge = patient(&origin);
    let mut events = edge.plain();
    events.begin("GET", "/events", "").head().unwrap();
    let mut chat = edge.plain();
    chat.begin("GET", "/chat", "Connection: Upgrade\r\nUpgrade: chat\r\n").head().unwrap();
    let mut over_h2 = edge.h2("app.test");
    let (answer, _) = over_h2.begin(over_h2.request("GET", "/events"), true).unwrap();
    let mut stream = over_h2.run(answer).unwrap().into_body();
    ends_soon(&mut edge);
    assert!(events.closes_within(seconds(1)) && chat.closes_within(seconds(1)));
    while let Some(Ok(_)) = over_h2.run(stream.data()) {}
    assert!(edge.access_log().iter().all(|line| line["error"] == "shutdown"), "{:?}", edge.access_log());
}

#[test]
fn a_request_that_runs_is_waited_for_while_websockets_are_not() {
    let origin = origin();
    let mut edge = patient(&origin);
    let mut websocket = silent_websocket(edge.plain());
    let mut running = edge.plain();
    running.begin("GET", "/slow", "");
    wait_until("it to run", || origin.count("/slow") == 1);
    let told = Instant::now();
    edge.terminate();
    assert_eq!(frame(&mut websocket).unwrap().2, closing(1001, "going away"));
    assert!(told.elapsed() < seconds(2), "{:?}", told.elapsed());
    assert_eq!(running.answer().text(), "done");
    assert!(edge.wait().success());
}

#[test]
fn many_websockets_are_not_ended_in_one_moment() {
    let origin = origin();
    let mut edge = patient(&origin);
    let open: Vec<_> = (0..40).map(|_| open_websocket(edge.http()).unwrap().0).collect();
    edge.terminate();
    let reads = open.into_iter().map(|mut websocket| {
        std::thread::spawn(move || {
            websocket.closes_within(seconds(5));
            Instant::now()
        })
    });
    let mut ends: Vec<Instant> = reads.collect::<Vec<_>>().into_iter().map(|read| read.join().unwrap()).collect();
    ends.sort();
    let spread = ends[39] - ends[0];
    assert!((Duration::from_millis(300)..seconds(2)).contains(&spread), "{spread:?}");
    assert!(edge.wait().success());
}

#[test]
fn an_h2_client_that_is_gone_without_a_word_holds_nothing_up() {
    let origin = origin();
    let mut edge = patient(&origin);
    // By hand: a library would answer the PING of the farewell.
    let mut client = edge.hello("app.test").connect_as(b"h2").unwrap();
    let block = [&[0x82, 0x87, 0x84, 0x41, 8][..], b"app.test"].concat();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let headers = [0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(settings).send(headers).send(block);
    assert_eq!(edge.logged_path("/")["status"], 200);
    ends_soon(&mut edge);
}

/// An edge that is told to end while one request runs, on the colour that serves.
fn leaving() -> (Origin, Origin, Edge, Client) {
    let (blue, green) = colors();
    blue.on("/slow", |_, wire| {
        std::thread::sleep(seconds(3));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        Then::Keep
    });
    let setup = Setup::colors(&blue, &green).health("interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"");
    let edge = setup.server("shutdown_timeout = \"30s\"").start();
    let mut running = edge.plain();
    running.begin("GET", "/slow", "");
    wait_until("it to run", || blue.count("/slow") == 1);
    (blue, green, edge, running)
}

#[test]
fn nothing_is_switched_once_the_daemon_is_told_to_end() {
    let (_blue, _green, mut edge, mut running) = leaving();
    let before = std::fs::read(edge.path("state/state.json")).ok();
    edge.terminate();
    edge.said("shutting down");
    for command in [
        &["switch", "green"][..],
        &["switch", "green", "--force"],
        &["canary", "green", "5"],
        &["maintenance", "on"],
        &["pause"],
    ] {
        let ran = edge.admin(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("the daemon is shutting down: nothing was changed"), "{ran:?}");
    }
    assert_eq!(std::fs::read(edge.path("state/state.json")).ok(), before);
    assert_eq!(running.answer().text(), "done");
    assert!(edge.wait().success());
}

#[test]
fn a_gate_ends_with_the_daemon_and_its_caller_is_told() {
    let (blue, green, mut edge, mut running) = leaving();
    green.set_health(503);
    let mut steps = Steps::of(&edge, "switch", &serde_json::json!({ "color": "green", "timeout": "25s" }));
    steps.until("probed");
    edge.terminate();
    let end = steps.until("error");
    assert_eq!(end["problem"]["code"], "shutting_down", "{end}");
    assert_eq!(running.answer().text(), "done");
    assert!(edge.wait().success());
    drop(blue);
}

#[test]
fn a_switch_that_was_made_is_told_as_such_when_the_daemon_ends() {
    let (_blue, _green, mut edge, mut running) = leaving();
    let ask = serde_json::json!({ "color": "green", "drain": "20s", "watch": "20s" });
    let mut steps = Steps::of(&edge, "switch", &ask);
    steps.until("draining");
    edge.terminate();
    let end = steps.until("result");
    assert_eq!((&end["result"]["result"], &end["result"]["generation"]), (&"inconclusive".into(), &2.into()), "{end}");
    assert_eq!(end["result"]["verdict"]["verdict"], "inconclusive", "{end}");
    assert_eq!(
        (&end["result"]["drain"]["cut"], &end["result"]["drain"]["cancelled"]),
        (&0.into(), &false.into()),
        "{end}"
    );
    assert_eq!(running.answer().text(), "done");
    assert!(edge.wait().success());
    let records = std::fs::read_to_string(edge.path("state/history.jsonl")).unwrap();
    assert!(records.contains("the daemon was shut down during the watch"), "{records}");
}
