//! Clients that take nothing of what they have asked for cost a bounded amount of memory, and nobody else waits for them.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::h2::{H2, LARGE};
use crate::support::{Edge, H2Origin, Origin, Setup, Then, seconds};

const CLIENTS: usize = 5;
const STREAMS: u32 = 128;

/// Asks for endless answers over HTTP/2, has room for all of them, and reads nothing.
fn greedy(edge: &Edge) -> impl Sized + use<> {
    let frame = |kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    };
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let largest = 0x7fff_ffff_u32.to_be_bytes();
    bytes.extend(frame(4, 0, 0, &[&[0, 4], &largest[..]].concat()));
    bytes.extend(frame(8, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes()));
    // GET https://app.test/endless, of HPACK's static table and literals.
    let head = [&[0x82, 0x87, 0x04, 8][..], b"/endless", &[0x01, 8], b"app.test"].concat();
    for i in 0..STREAMS {
        bytes.extend(frame(1, 5, 2 * i + 1, &head));
    }
    let mut stream = edge.hello("app.test").stream(&[b"h2"]);
    stream.write_all(&bytes).unwrap();
    stream
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
    // As much as they can make it hold: until it has not grown for a while.
    let (mut most, mut since) = (0, Instant::now());
    while since.elapsed() < seconds(2) {
        let now = edge.anonymous_memory().saturating_sub(before);
        if now > most + 256 {
            (most, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("asked {}", origin.count("/endless"));
    eprintln!("grown by {most} KiB; metric {}", edge.metric("edge_buffer_memory_bytes"));
    for _ in 0..3 {
        let asked = Instant::now();
        assert_eq!(edge.h2("app.test").get("/large").body.len(), 4 << 20, "another client");
        assert!(asked.elapsed() < seconds(5), "{:?}", asked.elapsed());
    }
    drop(greedy);
    assert!(most < 96 << 10, "grown by {most} KiB");
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
