//! A slow client or backend is cut in time, and no other client waits for it.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::support::h2::{H2, receive};
use crate::support::wire::Wire;
use crate::support::{Client, Edge, Origin, PATIENCE, Setup, Then, colors, seconds, wait_until};

/// Longer than any bound in these tests, shorter than any default.
const SOON: Duration = seconds(5);

fn impatient(origin: &Origin) -> Edge {
    Setup::to(origin).limits("header_timeout = \"1s\"\nbody_timeout = \"1s\"\nkeepalive = \"1s\"").start()
}

/// Waits for the cut while others are served.
fn assert_cut_while_others_are_served(edge: &Edge, wire: &mut Wire) {
    let started = Instant::now();
    while !wire.closes_within(Duration::from_millis(50)) {
        let asked = Instant::now();
        assert_eq!(edge.get("/other").status, 200);
        assert!(asked.elapsed() < seconds(1), "another client waited {:?}", asked.elapsed());
        assert!(started.elapsed() < SOON, "not cut within {SOON:?}");
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    assert_cut_while_others_are_served(&edge, &mut edge.plain());
}

#[test]
fn a_head_that_drips_must_still_be_whole_in_time() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.plain();
    client.send("GET / HTTP/1.1\r\nHost: plain.test\r\n");
    let started = Instant::now();
    // A field now and then: a bound on each single read would never end this.
    while !client.closes_within(Duration::from_millis(200)) {
        client.send("X-Drip: 1\r\n");
        assert!(started.elapsed() < SOON, "not cut within {SOON:?}");
    }
    assert!(started.elapsed() >= Duration::from_millis(900), "cut after {:?} already", started.elapsed());
    assert_eq!(edge.get("/").status, 200);
}

#[test]
fn a_second_head_on_a_kept_connection_is_bounded_too() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.plain();
    assert_eq!(client.get("/").status, 200);
    client.send("GET / HTTP/1.1\r\n");
    assert_cut_while_others_are_served(&edge, &mut client);
}

#[test]
fn a_body_that_stalls_is_answered_408() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 100\r\n").send("0123456789");
    let answer = client.answer();
    assert_eq!((answer.status, answer.get("connection")), (408, Some("close")), "{:?}", answer.head);
    assert!(client.closes_within(SOON));
    assert_eq!(edge.logged(answer.id())["error"], "body_timeout");
}

#[test]
fn a_body_that_keeps_coming_may_be_slow() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 6\r\n");
    for byte in ["a", "b", "c", "d", "e", "f"] {
        std::thread::sleep(Duration::from_millis(300));
        client.send(byte);
    }
    assert_eq!(client.answer().text(), "abcdef");
}

#[test]
fn a_backend_that_takes_no_more_of_a_body_is_given_up() {
    let origin = Origin::start("blue");
    origin.on("/deaf", |_, wire| {
        wire.exactly(1).unwrap();
        std::thread::park_timeout(PATIENCE);
        Then::Close
    });
    let edge = Setup::to(&origin).service("response_timeout = \"1s\"").site("body_size = \"1GiB\"").start();
    let mut client = edge.plain();
    let begun = Instant::now();
    client.begin("POST", "/deaf", &format!("Content-Length: {}\r\n", 64 << 20));
    // Sends more than all buffers hold, until the answer comes and the connection ends.
    for _ in 0..64 {
        if client.try_send(vec![b'x'; 1 << 20]).is_err() {
            break;
        }
    }
    wait_until("the end of it", || edge.logged_path("/deaf")["error"] == "response_timeout");
    assert!(begun.elapsed() < SOON, "given up after {:?}", begun.elapsed());
}

#[test]
fn a_reader_that_stops_reading_is_cut_and_its_backend_freed() {
    let origin = Origin::start("blue");
    let (gone, freed) = std::sync::mpsc::channel();
    origin.on("/endless", move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\n\r\n");
        while wire.try_send(vec![b'x'; 65536]).is_ok() {}
        gone.send(()).unwrap();
        Then::Close
    });
    let edge = impatient(&origin);
    let mut client = edge.plain();
    client.begin("GET", "/endless", "");
    freed.recv_timeout(SOON).expect("the backend's connection is closed");
    assert_eq!(edge.logged_path("/endless")["error"], "client_too_slow");
}

/// A backend that answers `/large` with `size` bytes.
fn of_size(size: usize) -> Origin {
    let origin = Origin::start("blue");
    origin.on("/large", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
        wire.send(vec![b'x'; size]);
        Then::Keep
    });
    origin
}

#[test]
fn a_reader_that_is_slow_but_reads_is_not_cut() {
    const SIZE: usize = 24 << 20;
    let origin = of_size(SIZE);
    let edge = impatient(&origin);
    let mut client = edge.plain();
    client.begin("GET", "/large", "");
    assert_eq!(client.head().unwrap().word(1), "200");
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.exactly(SIZE / 8).expect("still served").len(), SIZE / 8);
    }
}

#[test]
fn the_end_of_an_answer_waits_for_a_reader_that_is_slow() {
    const SIZE: usize = 4 << 20;
    // The codec holds as much of the end of an answer as a head may be long, and a unix socket's buffer, which does not grow, takes
    // 200 KiB of it at a time: a second's worth. All of it takes longer than an idle connection is kept and told goodbye.
    const BYTES_PER_SECOND: f64 = 200_000.0;
    let origin = of_size(SIZE);
    let setup = Setup::to(&origin).limits("header_size = \"1MiB\"\nbody_timeout = \"20s\"\nkeepalive = \"2s\"");
    let (text, socket) = (setup.text(), setup.path("http.sock"));
    let edge = setup.start();
    edge.rewrite(&text.replacen("http = [", &format!("http = [\"unix:{}\", ", socket.display()), 1));
    edge.admin(&["reload"]).ok();
    let mut client = Client::on(UnixStream::connect(&socket).unwrap(), "plain.test");
    client.begin("GET", "/large", "");
    assert_eq!(client.head().unwrap().word(1), "200");
    let mut left = SIZE;
    while left > 0 {
        let part = client.some().unwrap();
        assert!(!part.is_empty(), "closed, and {left} of {SIZE} bytes are missing");
        left -= part.len();
        // Fast at first; slow once the proxy holds no more than the end of the answer.
        if left < 1400 << 10 {
            std::thread::sleep(Duration::from_secs_f64(part.len() as f64 / BYTES_PER_SECOND));
        }
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.plain();
    assert_eq!(client.get("/").status, 200);
    assert_cut_while_others_are_served(&edge, &mut client);
}

#[test]
fn an_idle_tls_connection_is_closed() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.tls("app.test");
    assert_eq!(client.get("/").status, 200);
    assert_cut_while_others_are_served(&edge, &mut client);
}

#[test]
fn an_idle_h2_connection_is_closed() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.h2("app.test");
    assert_eq!(client.get("/").status, 200);
    wait_until("the connection to close", || client.is_closed());
    assert_eq!(edge.tls("app.test").get("/").status, 200);
}

#[test]
fn an_h2_connection_that_asks_nothing_is_closed() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.h2("app.test");
    wait_until("the connection to close", || client.is_closed());
}

#[test]
fn a_stalled_h2_upload_is_answered_408_and_others_on_its_connection_are_served() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = edge.h2("app.test");
    let (stalled, _stream) = client.begin(client.request("POST", "/echo"), false).unwrap();
    assert_eq!(client.get("/other").status, 200);
    assert_eq!(client.finish(stalled).unwrap().status, 408);
    assert_eq!(client.get("/after").status, 200);
}

#[test]
fn a_stalled_h2_reader_is_cut_and_others_on_its_connection_are_served() {
    let origin = Origin::start("blue");
    let (gone, freed) = std::sync::mpsc::channel();
    origin.on("/endless", move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\n\r\n");
        while wire.try_send(vec![b'x'; 65536]).is_ok() {}
        gone.send(()).unwrap();
        Then::Close
    });
    let edge = impatient(&origin);
    let mut client = edge.h2("app.test");
    let (stalled, _) = client.begin(client.request("GET", "/endless"), true).unwrap();
    let mut body = client.run(stalled).unwrap().into_body();
    // Nothing of the body is read, so its window stays shut. The connection's own window has room for others.
    freed.recv_timeout(SOON).expect("the backend's connection is closed");
    assert_eq!(client.get("/other").status, 200);
    let broken = client.run(async {
        while let Some(part) = body.data().await {
            if part.is_err() {
                return true;
            }
        }
        false
    });
    assert!(broken, "the stream ended as if it were whole");
    assert_eq!(edge.logged_path("/endless")["error"], "client_too_slow");
}

#[test]
fn half_a_handshake_is_cut() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut stream = TcpStream::connect(edge.https()).unwrap();
    // A record header that promises 512 bytes of ClientHello.
    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).unwrap();
    assert_cut_while_others_are_served(&edge, &mut Wire::new(stream));
    let silent = TcpStream::connect(edge.https()).unwrap();
    assert_cut_while_others_are_served(&edge, &mut Wire::new(silent));
}

#[test]
fn a_hundred_stalled_connections_delay_no_other_client() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("header_timeout = \"20s\"").start();
    let stalled: Vec<_> = (0..100)
        .map(|_| {
            let mut client = edge.plain();
            client.send("GET / HTTP/1.1\r\nHost: pl");
            client
        })
        .collect();
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(edge.get("/").status, 200);
    }
    assert!(started.elapsed() < seconds(2), "20 requests took {:?}", started.elapsed());
    drop(stalled);
}

#[test]
fn an_h2_reader_that_takes_nothing_from_the_first_byte_on_is_cut() {
    let origin = Origin::start("blue");
    let edge = impatient(&origin);
    let mut client = H2::with_window(&edge.hello("app.test"), 0);
    for (path, status, error) in
        [("/some", 200, "client_too_slow"), ("/%zz", 400, "bad_path"), ("/more", 200, "client_too_slow")]
    {
        let (answer, _stream) = client.begin(client.request("GET", path), true).unwrap();
        let answer = client.run(answer).unwrap();
        assert_eq!(answer.status(), status);
        assert_eq!(edge.logged_path(path)["error"], error, "{path}");
    }
    wait_until("nothing to be left", || edge.metric("edge_http_requests_in_flight") == 0.0);
}

#[test]
fn a_drain_cuts_an_h2_reader_that_takes_nothing() {
    let (blue, green) = colors();
    let edge = Setup::colors(&blue, &green).start();
    let mut client = H2::with_window(&edge.hello("app.test"), 0);
    let (answer, _stream) = client.begin(client.request("GET", "/some"), true).unwrap();
    let _answer = client.run(answer).unwrap();
    let ran = edge.admin(&["switch", "green", "--drain", "300ms"]).ok();
    assert!(ran.stdout.contains("1 of 1 in flight cut"), "{ran:?}");
    assert_eq!(edge.status()["pools"][0]["in_flight"], 0);
}

#[test]
fn an_h2_reader_has_time_to_read_our_own_answers_too() {
    const WINDOW: usize = 4 << 20;
    let origin = Origin::start("blue");
    origin.on("/big", |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * WINDOW));
        let _ = wire.try_send(vec![b'x'; 2 * WINDOW]);
        Then::Close
    });
    let (over, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    origin.on("/silent", move |_, _| {
        let _ = wait.lock().unwrap().recv();
        Then::Close
    });
    let edge = Setup::to(&origin).service("response_timeout = \"300ms\"\nretries = 0").start();
    let mut client = H2::with_window(&edge.hello("app.test"), WINDOW as u32);
    let (big, _) = client.begin(client.request("GET", "/big"), true).unwrap();
    let mut big = client.run(big).unwrap().into_body();
    // A stream that is not read any further takes the whole window of the connection.
    let mut taken = 0;
    while taken < WINDOW {
        taken += client.run(big.data()).unwrap().unwrap().len();
    }
    let (silent, _) = client.begin(client.request("GET", "/silent"), true).unwrap();
    let answer = client.run(silent).unwrap();
    assert_eq!(answer.status(), 504);
    let told = Instant::now();
    wait_until("a slow client to have room again", || told.elapsed() > Duration::from_millis(600));
    big.flow_control().release_capacity(taken).unwrap();
    let page = client.run(receive(&mut answer.into_body())).expect("the page");
    assert!(String::from_utf8_lossy(&page).contains("did not answer in time"));
    drop(over);
}
