//! HTTP/2 towards the backends: the scheme, the choice of the protocol, WebSockets, as many connections as are needed, and requests
//! that a backend has refused unprocessed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use crate::support::load::{echo, open_websocket};
use crate::support::{AlpnOrigin, Edge, Setup, seconds};

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

fn start(origin: &AlpnOrigin, service: &str) -> Edge {
    let setup = Setup::pool(&[&origin.backend()]).server("workers = 1").service("tls_verify = false");
    setup.service(service).start()
}

#[test]
fn requests_and_probes_to_an_https_backend_say_https() {
    let origin = AlpnOrigin::start(BOTH, None);
    let edge = start(&origin, "");
    assert_eq!(edge.get("/asked").text(), "h2");
    let seen = origin.seen();
    assert!(seen.iter().any(|seen| seen.path == "/asked") && seen.iter().any(|seen| seen.path == "/health/"));
    assert!(seen.iter().all(|seen| seen.scheme == "https"), "{seen:?}");
}

#[test]
fn tls_protocol_says_what_a_backend_is_offered() {
    let origin = AlpnOrigin::start(BOTH, None);
    for (protocol, expected) in [("auto", "h2"), ("h2", "h2"), ("http/1.1", "http/1.1")] {
        let edge = start(&origin, &format!("tls_protocol = {protocol:?}"));
        assert_eq!((edge.get("/").text().as_str(), edge.get("/").text().as_str()), (expected, expected));
    }
}

#[test]
fn a_backend_without_the_one_protocol_that_it_is_offered_says_so() {
    let origin = AlpnOrigin::start(&[b"http/1.1"], None);
    let setup = Setup::pool(&[&origin.backend()]).service("tls_verify = false\ntls_protocol = \"h2\"");
    let text = setup.text();
    let edge = Edge::spawn(setup.place.clone(), &text);
    crate::support::wait_until("a probe", || {
        let ran = edge.admin(&["status", "--json"]);
        ran.code == Some(0) && ran.stdout.contains("tls_protocol")
    });
}

#[test]
fn a_websocket_to_a_backend_that_prefers_h2_has_a_connection_of_http_1() {
    let origin = AlpnOrigin::start(BOTH, None);
    for protocol in ["auto", "h2"] {
        let edge = start(&origin, &format!("tls_protocol = {protocol:?}"));
        assert_eq!(edge.get("/").text(), "h2");
        let (mut websocket, _) = open_websocket(edge.http()).unwrap();
        echo(&mut websocket, "hello").unwrap();
        assert_eq!(edge.get("/").text(), "h2", "requests go on as before");
        echo(&mut websocket, "still here").unwrap();
    }
}

#[test]
fn more_requests_than_a_connection_takes_open_another() {
    let origin = AlpnOrigin::start(BOTH, Some(2));
    let edge = start(&origin, "response_timeout = \"5s\"");
    // From here on the backend's bound is known.
    assert_eq!(edge.get("/").text(), "h2");
    for _ in 0..2 {
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(edge.get("/slow").text(), "h2"));
            }
        });
        // One after another on one connection they would take 2.8 s.
        assert!(begun.elapsed() < seconds(2), "they waited for each other: {:?}", begun.elapsed());
    }
    assert!(origin.connections() >= 4, "{} connections", origin.connections());
}

/// How a backend refuses a request that it has not processed (RFC 9113, 8.7).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Refusal {
    ResetStream,
    GoAway,
    /// Not a frame for any request.
    Silence,
}

/// Speaks HTTP/2 frame by frame: answers the probe on its first connection, refuses `refusals` connections, answers the rest.
struct Refusing {
    addr: SocketAddr,
    /// The whole bodies of answered requests.
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

impl Refusing {
    fn start(refusal: Refusal, refusals: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let bodies: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = bodies.clone();
        thread::spawn(move || {
            for number in 0.. {
                let Ok((stream, _)) = listener.accept() else { return };
                let refuses = (1..=refusals).contains(&number).then_some(refusal);
                let bodies = (number > 0).then(|| kept.clone());
                thread::spawn(move || serve(stream, refuses, bodies.as_deref()));
            }
        });
        Self { addr, bodies }
    }

    fn edge(&self, service: &str) -> Edge {
        let setup = Setup::pool(&[&format!("h2c://{}", self.addr)]).server("workers = 1");
        setup.health("interval = \"1h\"").service(service).start()
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Ends with the connection.
fn serve(mut stream: TcpStream, refuses: Option<Refusal>, bodies: Option<&Mutex<Vec<Vec<u8>>>>) -> Option<()> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).ok()?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).ok()?;
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).ok()?;
        let (kind, flags, id) = (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])).ok()?,
            PING if flags & ACK == 0 => stream.write_all(&frame(PING, ACK, 0, &payload)).ok()?,
            HEADERS if refuses == Some(Refusal::ResetStream) => {
                stream.write_all(&frame(RST_STREAM, 0, id, &7_u32.to_be_bytes())).ok()?;
            }
            HEADERS if refuses == Some(Refusal::GoAway) => {
                // The last stream is 0, the reason NO_ERROR: a backend that restarts.
                stream.write_all(&frame(GOAWAY, 0, 0, &[0; 8])).ok()?;
            }
            DATA if refuses.is_none() && !payload.is_empty() => {
                body.extend_from_slice(&payload);
                let more = u32::try_from(payload.len()).unwrap().to_be_bytes();
                stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &more)).ok()?;
                stream.write_all(&frame(WINDOW_UPDATE, 0, id, &more)).ok()?;
            }
            _ => {}
        }
        if [HEADERS, DATA].contains(&kind) && flags & END_STREAM != 0 && refuses.is_none() {
            if let Some(bodies) = bodies {
                bodies.lock().unwrap().push(std::mem::take(&mut body));
            }
            // ":status: 200" of the static table (RFC 7541, Appendix A), and all headers end with it.
            stream.write_all(&frame(HEADERS, END_STREAM | 4, id, &[0x88])).ok()?;
        }
    }
}

#[test]
fn a_request_that_was_refused_unprocessed_is_sent_again_whatever_its_method() {
    for refusal in [Refusal::ResetStream, Refusal::GoAway] {
        for (method, length) in [("GET", 0), ("POST", 0), ("POST", 5), ("PATCH", 60_000), ("POST", 200_000)] {
            let backend = Refusing::start(refusal, 1);
            let edge = backend.edge("");
            let body = "x".repeat(length);
            let fields = format!("Content-Length: {length}\r\n");
            let answer = edge.plain().ask(method, "/", &fields, &body);
            assert_eq!(answer.status, 200, "{refusal:?}, {method} with {length} bytes: {}", answer.text());
            let bodies = backend.bodies.lock().unwrap();
            assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), [length], "{refusal:?}");
        }
    }
}

#[test]
fn a_backend_that_refuses_for_ever_is_not_asked_for_ever() {
    for (refusal, service, asked) in [(Refusal::ResetStream, "", 3), (Refusal::GoAway, "retries = 0", 2)] {
        let backend = Refusing::start(refusal, 1000);
        let edge = backend.edge(service);
        let answer = edge.plain().post("/", "body");
        assert_eq!(answer.status, 502, "{refusal:?}");
        assert!(backend.bodies.lock().unwrap().is_empty());
        assert_eq!(edge.logged(answer.id())["attempts"], 1);
        assert_eq!(edge.metric("edge_upstream_retries_total"), f64::from(asked - 1));
    }
}

#[test]
fn a_connection_that_has_fallen_silent_costs_one_request_its_answer() {
    let origin = Refusing::start(Refusal::Silence, 1);
    let edge = origin.edge("response_timeout = \"500ms\"\nretries = 0");
    assert_eq!(edge.get("/").status, 504);
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(edge.get("/").status, 200, "on another connection");
        assert!(begun.elapsed() < seconds(1), "{:?}", begun.elapsed());
    }
}
