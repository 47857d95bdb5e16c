//! Clients that take nothing of what they have asked for cost a bounded amount of memory, and nobody else waits for them.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::h2::{H2, LARGE};
use crate::support::{Edge, H2Origin, Origin, Setup, Then, seconds};

const CLIENTS: usize = 5;
const STREAMS: u32 = 128;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The preface of a client that has room for everything.
fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[&[0, 4], &0x7fff_ffff_u32.to_be_bytes()[..]].concat()));
    bytes.extend(frame(8, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes()));
    bytes
}

/// A head of HPACK's static table and literals. `method`: its index there.
fn head(method: u8, path: &[u8]) -> Vec<u8> {
    [&[method, 0x87, 0x04, u8::try_from(path.len()).unwrap()][..], path, &[0x01, 8], b"app.test"].concat()
}

/// Asks for endless answers over HTTP/2, has room for all of them, and reads nothing.
fn greedy(edge: &Edge) -> impl Sized + use<> {
    let mut bytes = preface();
    for i in 0..STREAMS {
        bytes.extend(frame(1, 5, 2 * i + 1, &head(0x82, b"/endless")));
    }
    let mut stream = edge.hello("app.test").stream(&[b"h2"]);
    stream.write_all(&bytes).unwrap();
    stream
}

/// The most that a figure comes to, until it has not grown for a while.
fn most_of(mut figure: impl FnMut() -> u64) -> u64 {
    let (mut most, mut since) = (0, Instant::now());
    while since.elapsed() < seconds(2) {
        let now = figure();
        if now > most {
            (most, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    most
}

#[test]
fn clients_that_read_nothing_cost_no_more_than_the_budget_says() {
    let origin = Origin::start("blue");
    origin.on("/endless", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\n\r\n");
        while wire.try_send(vec![b'x'; 65536]).is_ok() {}
        Then::Close
    });
    origin.on("/large", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4194304\r\n\r\n");
        wire.send(vec![b'x'; 4 << 20]);
        Then::Keep
    });
    let edge = Setup::to(&origin).limits("buffer_memory = \"8MiB\"").start();
    assert_eq!(edge.h2("app.test").get("/large").body.len(), 4 << 20);
    let before = edge.anonymous_memory();
    let greedy: Vec<_> = (0..CLIENTS).map(|_| greedy(&edge)).collect();
    // Page by page it may grow for ever, so in steps of a quarter of a MiB.
    let most = most_of(|| edge.anonymous_memory().saturating_sub(before) >> 8) >> 2;
    assert!(edge.metric("edge_buffer_memory_bytes") <= f64::from(8 << 20));
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(edge.h2("app.test").get("/large").body.len(), 4 << 20, "another client");
        assert!(asked.elapsed() < seconds(5), "{:?}", asked.elapsed());
    }
    drop(greedy);
    // Each of 640 answers is read at its backend's speed, into the spool, with a buffer of its connection's own: about 200 KiB each.
    assert!(most < 224, "grown by {most} MiB");
}

#[test]
fn readers_that_stop_hold_up_nobody_who_shares_a_backend_s_connection() {
    let origin = H2Origin::start();
    let edge = Setup::pool(&[&origin.backend()]).server("workers = 1").start();
    let mut stalled: Vec<_> = (0..12).map(|_| H2::with_window(&edge.hello("app.test"), 0)).collect();
    let _answers: Vec<_> = stalled
        .iter_mut()
        .map(|client| {
            let (answer, _) = client.begin(client.request("GET", "/large"), true).unwrap();
            client.run(answer).unwrap()
        })
        .collect();
    let asked = Instant::now();
    assert_eq!(edge.h2("app.test").get("/large").body.len(), LARGE);
    assert!(asked.elapsed() < seconds(5), "{:?}", asked.elapsed());
}
