//! A slow client holds no worker of the app: its upload is whole before a backend is asked, and what it does not read yet is kept.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::h2::H2;
use crate::support::wire::Wire;
use crate::support::{Client, Edge, H2Origin, Origin, Setup, Then, colors, seconds, wait_until};

/// More than the kernel's buffers on both sides of a connection hold, and than is kept in memory.
const LARGE: usize = 24 << 20;

/// Numbered bytes: what is lost, doubled or out of order shows.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A backend of `/large`, with `fields` of its own, which notes when it has sent all of it.
fn large(fields: &'static str) -> (Origin, Arc<AtomicBool>) {
    let origin = Origin::start("blue");
    let done = Arc::new(AtomicBool::new(false));
    let noted = done.clone();
    origin.on("/large", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n{fields}\r\n"));
        if wire.try_send(bytes(LARGE)).is_ok() {
            noted.store(true, Ordering::SeqCst);
        }
        Then::Keep
    });
    (origin, done)
}

fn is_done(done: &AtomicBool) -> bool {
    done.load(Ordering::SeqCst)
}

/// Nothing of a spool is left.
fn assert_given_back(edge: &Edge) {
    wait_until("the spool to be empty", || edge.metric("edge_spool_bytes") == 0.0);
    wait_until("the memory to be given back", || edge.metric("edge_buffer_memory_bytes") == 0.0);
}

#[test]
fn a_backend_is_free_before_its_reader_has_read_and_nothing_is_lost() {
    let (origin, done) = large("");
    let edge = Setup::to(&origin).service("max_in_flight = 1\nqueue_timeout = \"5s\"").start();
    for mut client in [edge.plain(), edge.tls("app.test")] {
        done.store(false, Ordering::SeqCst);
        client.begin("GET", "/large", "");
        wait_until("the backend to be free", || is_done(&done));
        assert!(edge.metric("edge_spool_bytes") > 0.0);
        assert_eq!(edge.get("/other").status, 200, "the backend takes one request at a time");
        let answer = client.answer();
        assert!(answer.body == bytes(LARGE), "{} bytes, not all or not those", answer.body.len());
        assert_given_back(&edge);
        assert_eq!(client.get("/again").status, 200, "on the same connection");
        let logged = edge.logged(answer.id());
        assert_eq!((&logged["backend"], &logged["bytes_out"]), (&origin.backend().into(), &LARGE.into()));
        assert_eq!(logged["error"], serde_json::Value::Null);
    }
    assert_eq!(edge.metric("edge_spooled_total"), 2.0);
}

#[test]
fn the_same_over_http_2_where_one_stream_waits_and_the_next_flows() {
    let (origin, done) = large("");
    let edge = Setup::to(&origin).start();
    let mut client = H2::with_window(&edge.hello("app.test"), 65_535);
    let (answer, _) = client.begin(client.request("GET", "/large"), true).unwrap();
    let (head, mut body) = client.run(answer).unwrap().into_parts();
    wait_until("the backend to be free", || is_done(&done));
    assert_eq!(head.status, 200);
    assert_eq!(edge.get("/other").status, 200);
    let whole = client.run(crate::support::h2::receive(&mut body)).unwrap();
    assert!(whole == bytes(LARGE), "{} bytes, not all or not those", whole.len());
    assert_given_back(&edge);
}

#[test]
fn what_breaks_off_breaks_off_for_its_slow_reader_too() {
    let origin = Origin::start("blue");
    let sent = Arc::new(AtomicUsize::new(0));
    for (path, head) in
        [("/length", format!("Content-Length: {}", LARGE + 1)), ("/chunked", "Transfer-Encoding: chunked".to_owned())]
    {
        let sent = sent.clone();
        origin.on(path, move |_, wire| {
            wire.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
            if head.starts_with("Transfer") {
                wire.send(format!("{:x}\r\n", LARGE + 1));
            }
            wire.send(bytes(LARGE));
            sent.fetch_add(1, Ordering::SeqCst);
            Then::Close
        });
    }
    let edge = Setup::to(&origin).start();
    for (number, path) in ["/length", "/chunked"].into_iter().enumerate() {
        let mut client = edge.plain();
        client.begin("GET", path, "");
        wait_until("all to be sent", || sent.load(Ordering::SeqCst) > number);
        assert!(client.try_whole_answer().is_none(), "{path}: a body that is cut looks whole");
        assert_eq!(edge.logged_path(path)["error"], "upstream_aborted");
        let mut h2 = edge.h2("app.test");
        h2.ask(h2.request("GET", path), b"", None).expect_err("a reset");
    }
    assert_given_back(&edge);
}

#[test]
fn a_reader_that_leaves_takes_what_was_kept_for_it_along() {
    let (origin, done) = large("");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("GET", "/large", "");
    wait_until("the backend to be free", || is_done(&done));
    assert!(edge.metric("edge_spool_bytes") > 0.0);
    client.cut();
    drop(client);
    assert_given_back(&edge);
    assert_eq!(edge.logged_path("/large")["error"], "client_aborted");
}

#[test]
fn trailers_come_behind_what_was_kept() {
    let origin = Origin::start("blue");
    let done = Arc::new(AtomicBool::new(false));
    let noted = done.clone();
    origin.on("/large", move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n");
        wire.send(format!("{LARGE:x}\r\n")).send(bytes(LARGE)).send("\r\n0\r\nX-Sum: 42\r\n\r\n");
        noted.store(true, Ordering::SeqCst);
        Then::Keep
    });
    let edge = Setup::to(&origin).start();
    let mut client = H2::with_window(&edge.hello("app.test"), 65_535);
    let (answer, _) = client.begin(client.request("GET", "/large"), true).unwrap();
    wait_until("the backend to be free", || is_done(&done));
    let answer = client.finish(answer).unwrap();
    assert!(answer.body == bytes(LARGE));
    assert_eq!(answer.trailers.unwrap()["x-sum"], "42");
}

/// Asks for `/large` and reads nothing: whether the backend is done, once it can be seen that it will not be.
fn is_kept(edge: &Edge, done: &AtomicBool) -> (Client, bool) {
    let mut client = edge.plain();
    client.begin("GET", "/large", "");
    let until = Instant::now() + seconds(1);
    while Instant::now() < until && !is_done(done) {
        thread::sleep(Duration::from_millis(20));
    }
    (client, is_done(done))
}

#[test]
fn what_is_not_to_be_kept_is_not() {
    for (fields, keys) in [
        ("", "buffer_responses = \"0\""),
        ("X-Accel-Buffering: no\r\n", ""),
        ("x-accel-buffering: NO\r\n", ""),
        ("Content-Type: application/grpc+proto\r\n", ""),
    ] {
        let (origin, done) = large(fields);
        let edge = Setup::to(&origin).service(keys).start();
        let (mut client, is_kept) = is_kept(&edge, &done);
        assert!(!is_kept, "{fields}{keys}");
        assert_eq!(edge.metric("edge_spooled_total"), 0.0, "{fields}{keys}");
        let answer = client.answer();
        assert!(answer.body == bytes(LARGE));
        assert_eq!(answer.get("x-accel-buffering"), None);
    }
}

#[test]
fn an_event_stream_waits_for_its_reader_and_is_passed_on_at_once() {
    let origin = Origin::start("blue");
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    origin.on("/events", move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n");
        while wire.try_send(vec![b'x'; 65536]).is_ok() {
            count.fetch_add(65536, Ordering::SeqCst);
        }
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("GET", "/events", "");
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < seconds(1) {
        let now = sent.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(edge.metric("edge_spooled_total"), 0.0);
    assert!(client.head().is_some());
    assert!(client.chunk().unwrap().starts_with(b"data: 1\n\n"), "the first event, as it came");
}

#[test]
fn nothing_waits_for_more_of_an_answer_to_come() {
    let origin = Origin::start("blue");
    origin.on("/steps", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for part in ["one", "two", "three"] {
            wire.send(format!("{:x}\r\n{part}\r\n", part.len()));
            // The client says that it has it.
            wire.exactly(1).unwrap();
        }
        wire.send("0\r\n\r\n");
        Then::Close
    });
    // So that the test can answer part by part, its upload is passed on as it comes.
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("POST", "/steps", "Transfer-Encoding: chunked\r\n");
    assert_eq!(client.head().unwrap().word(1), "200");
    for part in ["one", "two", "three"] {
        assert_eq!(client.chunk().unwrap(), part.as_bytes());
        client.send("1\r\n.\r\n");
    }
}

#[test]
fn without_a_spool_the_backend_waits_and_nothing_is_lost() {
    let place = Setup::to(&Origin::start("blue"));
    let file = place.path("a-file");
    std::fs::write(&file, "").unwrap();
    for (keys, says) in [
        ("spool_size = \"0\"".to_owned(), None),
        ("spool_size = \"1MiB\"".to_owned(), Some("it is full: [limits] spool_size")),
        (format!("spool_dir = \"{}\"", file.display()), Some("can't be used")),
    ] {
        let (origin, done) = large("");
        let edge = Setup::to(&origin).limits(&keys).start();
        let (mut client, is_kept) = is_kept(&edge, &done);
        assert!(!is_kept, "{keys}");
        if let Some(says) = says {
            edge.said(says);
        }
        assert!(client.answer().body == bytes(LARGE), "{keys}");
        // An upload that finds no room is passed on as it comes.
        let mut client = edge.plain();
        client.begin("POST", "/echo", &format!("Content-Length: {}\r\n", 4 << 20));
        client.send(bytes(4 << 20));
        assert!(client.answer().body == bytes(4 << 20), "{keys}");
        assert_given_back(&edge);
    }
}

#[test]
fn a_body_that_the_spool_can_t_hold_is_said_once_and_not_for_each() {
    let (origin, _) = large("");
    let edge = Setup::to(&origin).limits("spool_size = \"1MiB\"").start();
    for _ in 0..3 {
        assert_eq!(edge.get("/large").body.len(), LARGE);
        let mut client = edge.plain();
        client.begin("GET", "/large", "");
        assert!(client.head().is_some());
    }
    edge.said("the spool can't take more");
    assert_eq!(edge.stderr().matches("the spool can't take more").count(), 1);
}

#[test]
fn no_byte_of_an_upload_reaches_a_backend_before_the_last_one_is_here() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let connections = || origin.accepted();
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 10\r\n").send("01234");
    // Other requests come and go meanwhile.
    for _ in 0..3 {
        assert_eq!(edge.get("/other").status, 200);
    }
    assert_eq!(origin.count("/echo"), 0);
    let open = connections();
    client.send("56789");
    assert_eq!(client.answer().text(), "0123456789");
    assert_eq!(connections(), open, "on a connection that was idle");
    let h2 = H2Origin::start();
    let edge = Setup::pool(&[&h2.backend()]).start();
    assert_eq!(edge.plain().post("/echo", "to HTTP/2").text(), "to HTTP/2");
}

#[test]
fn a_large_upload_goes_through_the_spool_whole_over_both_protocols() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let body = bytes(9 << 20);
    let mut client = edge.plain();
    client.begin("POST", "/echo", &format!("Content-Length: {}\r\n", body.len()));
    client.send(&body[..5 << 20]);
    wait_until("some of it to be in the spool", || edge.metric("edge_spool_bytes") > f64::from(2 << 20));
    assert_eq!(origin.count("/echo"), 0);
    client.send(&body[5 << 20..]);
    assert!(client.answer().body == body);
    let mut h2 = edge.h2("app.test");
    let answer = h2.ask(h2.request("PUT", "/echo").header("content-length", body.len()), &body, None).unwrap();
    assert!(answer.body == body);
    assert_given_back(&edge);
}

#[test]
fn an_upload_of_unknown_length_or_of_a_route_that_says_so_is_passed_on_as_it_comes() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).and("[[site.route]]\npath = \"/stream/\"\nbuffer_requests = \"0\"").start();
    for (mut client, path, fields, first) in [
        (edge.plain(), "/chunked", "Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n"),
        (edge.tls("app.test"), "/stream/x", "Content-Length: 10\r\n", "01234"),
        (edge.plain(), "/grpc", "Content-Type: application/grpc\r\nContent-Length: 10\r\n", "01234"),
    ] {
        let seen = Arc::new(AtomicBool::new(false));
        let noted = seen.clone();
        origin.on(path, move |head, wire| {
            wire.exactly(5).unwrap();
            noted.store(true, Ordering::SeqCst);
            wire.closes_within(seconds(5));
            let _ = head;
            Then::Close
        });
        client.begin("POST", path, fields).send(first);
        wait_until("the backend to have some of it", || is_done(&seen));
    }
}

#[test]
fn an_idempotent_request_that_is_here_whole_is_repeated_and_a_post_that_was_sent_is_not() {
    let (good, bad) = (Origin::start("good"), Origin::start("bad"));
    for path in ["/one", "/two", "/three", "/four"] {
        bad.on(path, |head, wire| {
            wire.body(&head.request_framing());
            Then::Close
        });
        good.on(path, |head, wire| {
            let (body, _) = wire.body(&head.request_framing());
            wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).send(body);
            Then::Keep
        });
    }
    let edge = Setup::pool(&[good.backend(), bad.backend()]).health("max_fails = 0").start();
    wait_until("both to be up", || edge.metric("edge_backend_up") == 2.0);
    let body = "x".repeat(3 << 20);
    for path in ["/one", "/two", "/three", "/four"] {
        let answer = edge.plain().ask("PUT", path, &format!("Content-Length: {}\r\n", body.len()), &body);
        assert_eq!((answer.status, answer.body.len()), (200, body.len()), "{path}");
    }
    let lost = (0..8).filter(|_| edge.plain().post("/one", "an order").status == 502).count();
    assert!(lost > 0, "a POST that was sent is not repeated");
}

#[test]
fn who_is_refused_is_refused_before_the_body_is_asked_for() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    edge.admin(&["maintenance", "on"]).ok();
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
    assert_eq!(client.head().unwrap().word(1), "503", "and no 100 before it");
    edge.admin(&["maintenance", "off"]).ok();
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
    assert_eq!(client.head().unwrap().word(1), "100");
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
}

#[test]
fn a_drain_does_not_wait_for_what_is_here_already() {
    let (blue, green) = colors();
    let done = Arc::new(AtomicBool::new(false));
    let noted = done.clone();
    blue.on("/large", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")).send(bytes(LARGE));
        noted.store(true, Ordering::SeqCst);
        Then::Keep
    });
    let edge = Setup::colors(&blue, &green).switch("drain = \"1s\"").start();
    let mut client = edge.plain();
    client.begin("GET", "/large", "");
    wait_until("the backend to be free", || is_done(&done));
    wait_until("it to have left", || edge.metric("edge_http_requests_in_flight") == 0.0);
    let ran = edge.admin(&["switch", "green"]).ok();
    assert!(!ran.stdout.contains("cut"), "{}", ran.stdout);
    blue.stop();
    assert!(client.answer().body == bytes(LARGE), "although its colour is gone");
    assert_eq!(edge.logged_path("/large")["color"], "blue");
}

/// An app as gunicorn runs it with `--workers 2`: each serves one request at a time and closes the connection behind it.
fn two_sync_workers() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    for _ in 0..2 {
        let listener = listener.try_clone().unwrap();
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut wire = Wire::new(stream);
                let Some(head) = wire.head() else { continue };
                let _ = wire.try_body(&head.request_framing());
                let size = if head.word(1) == "/large" { LARGE } else { 2 };
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"));
                wire.send(vec![b'x'; size]);
            }
        });
    }
    addr
}

/// Sends a byte now and then.
fn slow_upload(edge: &Edge, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (mut client, stop) = (edge.plain(), stop.clone());
    thread::spawn(move || {
        client.begin("POST", "/up", "Content-Length: 100000\r\n");
        while !is_done(&stop) && client.try_send("x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    })
}

/// Reads a little now and then.
fn slow_download(edge: &Edge, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (to, stop) = (edge.http(), stop.clone());
    thread::spawn(move || {
        let mut stream = TcpStream::connect(to).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /large HTTP/1.1\r\nHost: plain.test\r\n\r\n").unwrap();
        while !is_done(&stop) && stream.read(&mut [0; 64]).is_ok_and(|read| read > 0) {
            thread::sleep(Duration::from_millis(50));
        }
    })
}

#[test]
fn readers_that_have_taken_the_memory_leave_the_spool_to_the_others() {
    const READERS: usize = 24;
    const EACH: usize = 6 << 20;
    let body: Arc<[u8]> = bytes(EACH).into();
    let origin = Origin::start("blue");
    let done = Arc::new(AtomicUsize::new(0));
    let (noted, sent) = (done.clone(), body.clone());
    origin.on("/each", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {EACH}\r\n\r\n"));
        if wire.try_send(&sent).is_ok() {
            noted.fetch_add(1, Ordering::SeqCst);
        }
        Then::Keep
    });
    let edge = Setup::to(&origin).limits("buffer_memory = \"2MiB\"").start();
    let mut readers: Vec<Client> = (0..READERS).map(|_| edge.plain()).collect();
    for reader in &mut readers {
        reader.begin("GET", "/each", "");
    }
    wait_until("every backend to be free", || done.load(Ordering::SeqCst) == READERS);
    assert!(edge.metric("edge_buffer_memory_bytes") <= f64::from(2 << 20));
    for reader in &mut readers {
        assert!(reader.answer().body[..] == body[..]);
    }
    drop(readers);
    // Many on one connection: some of them have not even had their first part taken.
    done.store(0, Ordering::SeqCst);
    let mut client = H2::with_window(&edge.hello("app.test"), 1 << 30);
    let asked: Vec<_> = (0..READERS).map(|_| client.begin(client.request("GET", "/each"), true).unwrap().0).collect();
    wait_until("every backend of one connection to be free", || done.load(Ordering::SeqCst) == READERS);
    assert!(edge.metric("edge_buffer_memory_bytes") <= f64::from(2 << 20));
    drop((asked, client));
    assert_given_back(&edge);
}

#[test]
fn slow_clients_hold_none_of_two_workers() {
    const SLOW: usize = 25;
    let edge = Setup::pool(&[&two_sync_workers().to_string()]).health("interval = \"2s\"\ntimeout = \"2s\"").start();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..SLOW {
        clients.push(slow_upload(&edge, &stop));
        clients.push(slow_download(&edge, &stop));
    }
    wait_until("all downloads to be here", || edge.metric("edge_spooled_total") >= SLOW as f64);
    wait_until("all of them to be the clients' alone", || edge.metric("edge_http_requests_in_flight") == 0.0);
    let mut took: Vec<Duration> = (0..200)
        .map(|_| {
            let asked = Instant::now();
            assert_eq!(edge.get("/small").text(), "xx");
            asked.elapsed()
        })
        .collect();
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    took.sort();
    // Without buffering, none of them is served as long as the slow ones are there. The bounds are for a machine that runs other tests, too.
    assert!(took[took.len() / 2] < Duration::from_millis(50), "median {:?}", took[took.len() / 2]);
    assert!(took[took.len() - 1] < seconds(1), "longest {:?}", took[took.len() - 1]);
}
