//! HTTP/2: requests are judged as those of HTTP/1.1, and frames that ask for nothing have an end.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::tls::TlsStream;
use crate::support::{Edge, Origin, Setup, seconds, wait_until};

#[test]
fn one_judgement_for_both_protocols() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("headers = 20").start();
    let mut h2 = edge.h2("app.test");
    let two_lengths = h2.request("POST", "/").header("content-length", "4").header("content-length", "4");
    assert_eq!(h2.ask(two_lengths, b"body", None).map(|answer| answer.status).ok(), Some(400));
    let list = h2.request("POST", "/").header("content-length", "4, 4");
    assert!(h2.ask(list, b"body", None).map_or(true, |answer| answer.status == 400));
    let fields =
        |count: usize| (0..count).fold(h2.request("GET", "/"), |request, n| request.header(format!("x-{n}"), "1"));
    let (few, many) = (fields(19), fields(21));
    assert_eq!(h2.ask(few, b"", None).unwrap().status, 200);
    assert_eq!(h2.ask(many, b"", None).unwrap().status, 431);
    let cookies = (0..40).fold(h2.request("GET", "/"), |request, n| request.header("cookie", format!("c{n}=1")));
    assert_eq!(h2.ask(cookies, b"", None).unwrap().status, 200, "cookies are one field");
    let with_port = h2.request("GET", "/").header("host", "app.test:443");
    assert_eq!(h2.ask(with_port, b"", None).unwrap().status, 200, "the scheme's own port");
    for other in ["app.test:80", "app.test:8443", "www.app.test"] {
        let request = h2.request("GET", "/").header("host", other);
        assert_eq!(h2.ask(request, b"", None).unwrap().status, 400, "{other}");
    }
    assert_eq!(origin.seen().len(), 3, "{:?}", origin.seen());
}

/// A connection on which a test writes frames by hand.
struct Frames(TlsStream);

impl Frames {
    fn open(edge: &Edge) -> Self {
        let mut stream = edge.hello("app.test").stream(&[b"h2"]);
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut frames = Self(stream);
        frames.send(4, 0, 0, b"");
        frames
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let _ = self.try_send(kind, flags, stream, payload);
    }

    fn try_send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        self.0.write_all(&[&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat())
    }

    /// The error code of the GOAWAY that ends the connection; `None`: it just ended.
    fn goaway(&mut self) -> Option<u32> {
        let mut code = None;
        loop {
            let mut head = [0; 9];
            if self.0.read_exact(&mut head).is_err() {
                return code;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if self.0.read_exact(&mut payload).is_err() {
                return code;
            }
            if head[3] == 7 {
                code = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
    }
}

const ENHANCE_YOUR_CALM: u32 = 11;

/// Two settings in one frame, which change the size of the codec's table down and up again.
const TABLE_SIZES: &[u8] = &[0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 16, 0];

/// Name, kind, flags, stream, payload.
const FLOODS: [(&str, u8, u8, u32, &[u8]); 9] = [
    ("SETTINGS", 4, 0, 0, &[0, 3, 0, 0, 0, 100]),
    ("empty SETTINGS", 4, 0, 0, b""),
    ("table sizes", 4, 0, 0, TABLE_SIZES),
    ("PING", 6, 0, 0, &[0; 8]),
    ("PING answers", 6, 1, 0, &[0; 8]),
    ("PRIORITY", 2, 0, 5, &[0, 0, 0, 3, 7]),
    ("WINDOW_UPDATE", 8, 0, 0, &[0, 0, 0, 1]),
    ("unknown frames", 0xbe, 0, 0, b"grease"),
    ("unknown frames on a stream", 0xbe, 0, 7, b""),
];

#[test]
fn a_flood_of_frames_that_ask_for_nothing_is_told_to_calm_down() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    for (name, kind, flags, stream, payload) in FLOODS {
        let mut frames = Frames::open(&edge);
        let bystander = std::thread::scope(|scope| {
            let bystander = scope.spawn(|| slowest_of(&edge, 50));
            for _ in 0..20_000 {
                if frames.try_send(kind, flags, stream, payload).is_err() {
                    break;
                }
            }
            bystander.join().unwrap()
        });
        assert_eq!(frames.goaway(), Some(ENHANCE_YOUR_CALM), "{name}");
        assert!(bystander < Duration::from_millis(500), "{name}: {bystander:?}");
    }
}

/// A bystander waits for a turn of the flood's connection at most, and the whole flood costs less than a bystander may wait. What a
/// stopwatch shows on a machine with other tests on it is no figure; the time that the daemon's threads were on a processor is.
#[test]
fn a_whole_flood_takes_less_time_than_a_bystander_may_wait() {
    const CONNECTIONS: u32 = 40;
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).health("interval = \"60s\"").start();
    let cost_of_each = |connect: &dyn Fn()| {
        let before = on_processor(&edge);
        (0..CONNECTIONS).for_each(|_| connect());
        on_processor(&edge).saturating_sub(before) / CONNECTIONS
    };
    // Of a slow machine.
    let usual = cost_of_each(&|| assert_eq!(edge.h2("app.test").get("/").status, 200));
    let most = (usual * 3).max(Duration::from_millis(5));
    for (name, kind, flags, stream, payload) in FLOODS {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let frame = [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat();
        let flood = frame.repeat(2_000);
        let each = cost_of_each(&|| {
            let mut frames = Frames::open(&edge);
            let _ = frames.0.write_all(&flood);
            assert_eq!(frames.goaway(), Some(ENHANCE_YOUR_CALM), "{name}");
        });
        println!("{name}: {each:?} a connection with its handshake; a usual one {usual:?}");
        assert!(each < most, "{name}: {each:?}, a usual connection {usual:?}");
    }
}

/// How long the daemon's threads have run.
fn on_processor(edge: &Edge) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", edge.pid())).unwrap();
    let run = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(run.sum())
}

fn slowest_of(edge: &Edge, requests: usize) -> Duration {
    let mut client = edge.plain();
    let timed = |client: &mut crate::support::Client| {
        let begun = Instant::now();
        assert_eq!(client.get("/").status, 200);
        begun.elapsed()
    };
    (0..requests).map(|_| timed(&mut client)).max().unwrap_or_default()
}

#[test]
fn an_idle_stream_s_pings_are_fine() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut frames = Frames::open(&edge);
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < seconds(3) {
        frames.try_send(6, 0, 0, &[sent; 8]).expect("the connection stays");
        sent = sent.wrapping_add(1);
        // A hundred times as many as the busiest client sends.
        std::thread::sleep(Duration::from_millis(25));
    }
    // GOAWAY by the client: it closes, without an error of ours.
    frames.send(7, 0, 0, &[0; 8]);
    assert_ne!(frames.goaway(), Some(ENHANCE_YOUR_CALM));
}

#[test]
fn a_download_may_be_acknowledged_frame_by_frame() {
    let origin = Origin::start("blue");
    let body = "a".repeat(8 << 20);
    origin.on("/large", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
        crate::support::Then::Keep
    });
    let edge = Setup::to(&origin).start();
    let mut h2 = edge.h2("app.test");
    for _ in 0..5 {
        // The test's client gives the window back for each frame it gets.
        assert_eq!(h2.get("/large").body.len(), 8 << 20);
    }
}

#[test]
fn a_target_in_utf_8_is_encoded_for_the_backend() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    // By hand: the library would encode it.
    let path = "/\u{e4}?\u{f6}".as_bytes();
    let block = [&[0x82, 0x87, 0x04, path.len() as u8][..], path, &[0x41, 8], b"app.test"].concat();
    let mut client = edge.hello("app.test").connect_as(b"h2").unwrap();
    let headers = [0, 0, u8::try_from(block.len()).unwrap(), 1, 5, 0, 0, 0, 1];
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send([0, 0, 0, 4, 0, 0, 0, 0, 0]).send(headers).send(block);
    wait_until("the request", || origin.seen().iter().any(|seen| seen.head.word(1) == "/%C3%A4?%C3%B6"));
}
