//! Requests and answers arrive whole and unchanged over every kind of connection, and no body is held in memory.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::support::h2::{receive, send_all};
use crate::support::{Edge, H2Origin, Identity, Origin, PATIENCE, Setup, Then, seconds, wait_until};

/// Every kind of client, with a small exchange, a large upload that comes back, and HEAD.
fn assert_carries(edge: &Edge) {
    let large = "0123456789abcdef".repeat(1 << 16);
    for mut client in [edge.plain(), edge.tls("app.test")] {
        assert_eq!(client.post("/echo", "hello").text(), "hello");
        assert!(client.post("/echo", &large).text() == large, "1 MiB came back changed");
        client.begin("POST", "/echo", "Transfer-Encoding: chunked\r\n").send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
        assert_eq!(client.answer().text(), "abcde");
        assert_eq!(client.ask("HEAD", "/", "", "").status, 200);
        assert_eq!(client.get("/").status, 200);
    }
    let mut client = edge.h2("app.test");
    assert_eq!(client.post("/echo", b"hello").text(), "hello");
    assert!(client.post("/echo", large.as_bytes()).text() == large, "1 MiB came back changed");
    assert_eq!(client.get("/").status, 200);
    let head = client.request("HEAD", "/");
    assert_eq!(client.ask(head, b"", None).unwrap().status, 200);
}

#[test]
fn every_client_reaches_an_http1_backend() {
    let origin = Origin::start("blue");
    assert_carries(&Setup::to(&origin).start());
}

#[test]
fn every_client_reaches_an_h2c_backend() {
    let origin = H2Origin::start();
    assert_carries(&Setup::pool(&[&origin.backend()]).start());
}

#[test]
fn every_client_reaches_an_https_backend_that_its_own_ca_vouches_for() {
    let identity = Identity::for_names(&["origin.test"]);
    let origin = Origin::start_tls("blue", &identity);
    let setup = Setup::to(&origin);
    let ca = setup.path("origin.pem");
    std::fs::write(&ca, &identity.cert_pem).unwrap();
    let edge = setup.service(&format!("tls_ca = {ca:?}\ntls_server_name = \"origin.test\"")).start();
    assert_carries(&edge);
}

#[test]
fn every_client_reaches_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let origin = Origin::start_unix("blue", &folder.path().join("app.sock"));
    assert_carries(&Setup::to(&origin).start());
}

#[test]
fn a_backend_with_a_wrong_certificate_gets_no_request() {
    let origin = Origin::start_tls("blue", &Identity::for_names(&["origin.test"]));
    let setup = Setup::to(&origin);
    let ca = setup.path("other.pem");
    std::fs::write(&ca, Identity::for_names(&["origin.test"]).cert_pem).unwrap();
    let setup = setup.service(&format!("tls_ca = {ca:?}\ntls_server_name = \"origin.test\""));
    let text = setup.text();
    let edge = Edge::spawn(setup.place.clone(), &text);
    wait_until("the listeners to open", || std::net::TcpStream::connect(edge.http()).is_ok());
    assert_eq!(edge.get("/").status, 503);
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn bodies_keep_their_framing() {
    let origin = Origin::start("blue");
    origin.answers("/length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    origin.answers("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    origin.on("/until-close", |_, wire| {
        wire.send("HTTP/1.0 200 OK\r\n\r\nhello");
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    let answer = client.get("/length");
    assert_eq!((answer.get("content-length"), answer.text().as_str()), (Some("5"), "hello"));
    for path in ["/chunked", "/until-close"] {
        let answer = client.get(path);
        assert_eq!(answer.get("transfer-encoding"), Some("chunked"), "{:?}", answer.head);
        assert_eq!(answer.get("content-length"), None, "{:?}", answer.head);
        assert_eq!(answer.text(), "hello");
    }
    assert_eq!(client.get("/").text(), "blue");
}

#[test]
fn answers_without_a_body_have_none() {
    let origin = Origin::start("blue");
    origin.answers("/204", "HTTP/1.1 204 No Content\r\n\r\n");
    origin.answers("/304", "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 400\r\n\r\n");
    origin.answers("/head", "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    let no_content = client.get("/204");
    assert_eq!(no_content.status, 204);
    assert_eq!((no_content.get("content-length"), no_content.get("transfer-encoding")), (None, None));
    let not_modified = client.get("/304");
    assert_eq!((not_modified.status, not_modified.get("etag")), (304, Some("\"1\"")));
    let head = client.ask("HEAD", "/head", "", "");
    assert_eq!((head.status, head.get("content-length")), (200, Some("400")));
    assert_eq!(client.get("/").text(), "blue", "the connection is still in step");
    let mut client = edge.h2("app.test");
    assert_eq!(client.get("/204").status, 204);
    assert_eq!(client.get("/304").status, 304);
    let head = client.request("HEAD", "/head");
    assert_eq!(client.ask(head, b"", None).unwrap().get("content-length"), Some("400"));
}

#[test]
fn an_http_1_0_client_gets_an_answer_it_can_read() {
    let origin = Origin::start("blue");
    origin.answers("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.send("GET /chunked HTTP/1.0\r\nHost: plain.test\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.get("transfer-encoding"), answer.text().as_str()), (None, "hello"), "{:?}", answer.head);
}

#[test]
fn a_continue_is_sent_only_for_a_body_that_is_wanted() {
    let origin = Origin::start("blue");
    origin.on("/early", |_, wire| {
        wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        Then::Close
    });
    let edge = Setup::to(&origin).site("body_size = \"1KiB\"").start();
    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 5\r\nExpect: 100-continue\r\n");
    assert_eq!(client.head().unwrap().word(1), "100");
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(origin.saw("/echo").head.get("expect"), None);

    let mut client = edge.plain();
    client.begin("POST", "/echo", "Content-Length: 5000\r\nExpect: 100-continue\r\n");
    let answer = client.answer();
    assert_eq!(answer.status, 413, "the first answer: {:?}", answer.head);
    assert!(client.closes_within(seconds(5)));
    assert_eq!(origin.count("/echo"), 1);
}

#[test]
fn grpc_goes_through_with_its_trailers() {
    let origin = H2Origin::start();
    let edge = Setup::pool(&[&origin.backend()]).start();
    let mut client = edge.h2("app.test");
    let request = client.request("POST", "/echo.Service/Call").header("content-type", "application/grpc");
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let answer = client.ask(request.header("te", "trailers"), b"\0\0\0\0\x05hello", Some(trailers)).unwrap();
    assert_eq!((answer.status, &*answer.body), (200, &b"\0\0\0\0\x05hello"[..]));
    assert_eq!(answer.get("content-type"), Some("application/grpc"));
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
    assert_eq!(origin.saw("/echo.Service/Call").headers()["te"], "trailers");
}

#[test]
fn a_bidirectional_stream_is_answered_while_it_is_sent() {
    let origin = H2Origin::start();
    let edge = Setup::pool(&[&origin.backend()]).start();
    let mut client = edge.h2("app.test");
    let request = client.request("POST", "/echo").header("content-type", "application/grpc");
    let (answer, mut up) = client.begin(request, false).unwrap();
    let mut down = client.run(answer).unwrap().into_body();
    for round in 0..5 {
        let message = Bytes::from(format!("message {round}"));
        let back = client.run(async {
            send_all(&mut up, message.clone(), false).await.unwrap();
            down.data().await.unwrap().unwrap()
        });
        assert_eq!(back, message);
    }
    up.send_data(Bytes::new(), true).unwrap();
    assert_eq!(client.run(receive(&mut down)).unwrap(), b"");
}

#[test]
fn trailers_of_a_chunked_answer_reach_the_client() {
    let origin = Origin::start("blue");
    origin.answers(
        "/trailers",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let edge = Setup::to(&origin).start();
    let answer = edge.plain().ask("GET", "/trailers", "TE: trailers\r\nConnection: TE\r\n", "");
    assert_eq!(answer.text(), "hello");
    assert_eq!((answer.trailers.to_ascii_lowercase().as_str(), answer.get("trailer")), ("x-sum: 7\n", Some("X-Sum")));
    let answer = edge.get("/trailers");
    assert_eq!((answer.trailers.as_str(), answer.get("trailer")), ("", None), "for who did not ask for them");
    let answer = edge.h2("app.test").get("/trailers");
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "7");
}

const HUGE: u64 = 200 << 20;
/// How many MiB the daemon may grow by while [`HUGE`] bytes wait for a stalled side: buffers, not bodies.
const BUFFERS: u64 = 24;

#[test]
fn a_download_waits_in_the_backend_when_its_client_stalls() {
    let origin = Origin::start("blue");
    let (progress, sent) = mpsc::channel();
    origin.on("/huge", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n"));
        for n in 0..HUGE >> 20 {
            if wire.try_send(vec![b'x'; 1 << 20]).is_err() {
                break;
            }
            let _ = progress.send(n);
        }
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    let before = edge.memory();
    let mut plain = edge.plain();
    plain.begin("GET", "/huge", "");
    let mut tls = edge.tls("app.test");
    tls.begin("GET", "/huge", "");
    let mut h2 = edge.h2("app.test");
    let (stalled, _) = h2.begin(h2.request("GET", "/huge"), true).unwrap();
    let mut body = h2.run(stalled).unwrap().into_body();
    // Waits until nothing moves any more.
    while sent.recv_timeout(Duration::from_millis(500)).is_ok() {}
    let grown = edge.memory() - before;
    assert!(grown < BUFFERS, "{grown} MiB more for three stalled downloads");
    assert_eq!(plain.head().unwrap().word(1), "200");
    for _ in 0..HUGE >> 20 {
        plain.exactly(1 << 20).expect("the whole download");
    }
    assert_eq!(tls.head().unwrap().word(1), "200");
    tls.exactly(20 << 20).expect("it goes on");
    h2.run(async {
        let mut left: usize = 10 << 20;
        while left > 0 {
            let part = body.data().await.unwrap().expect("it goes on");
            body.flow_control().release_capacity(part.len()).unwrap();
            left = left.saturating_sub(part.len());
        }
    });
    let grown = edge.memory() - before;
    assert!(grown < BUFFERS, "{grown} MiB more after the downloads");
}

#[test]
fn an_upload_waits_in_the_client_when_its_backend_stalls() {
    let origin = Origin::start("blue");
    let (go, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    origin.on("/sink", move |head, wire| {
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        let mut left: usize = head.get("content-length").unwrap().parse().unwrap();
        while left > 0 {
            let part = wire.some().unwrap();
            assert!(!part.is_empty(), "{left} bytes are missing");
            left -= part.len();
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Then::Keep
    });
    let edge = Setup::to(&origin).site("body_size = \"1GiB\"").start();
    let before = edge.memory();
    let mut client = edge.plain();
    let (moved, moving) = mpsc::channel();
    let upload = std::thread::spawn(move || {
        client.begin("POST", "/sink", &format!("Content-Length: {HUGE}\r\n"));
        for n in 0..HUGE >> 20 {
            client.try_send(vec![b'x'; 1 << 20]).unwrap();
            let _ = moved.send(n);
        }
        client.answer().status
    });
    while moving.recv_timeout(Duration::from_millis(500)).is_ok() {}
    let grown = edge.memory() - before;
    assert!(grown < BUFFERS, "{grown} MiB more for a stalled upload");
    go.send(()).unwrap();
    assert_eq!(upload.join().unwrap(), 200);
}

#[test]
fn an_h2_upload_waits_in_the_client_when_its_backend_stalls() {
    const SIZE: usize = 32 << 20;
    let origin = Origin::start("blue");
    let (go, wait) = mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    origin.on("/sink", move |head, wire| {
        wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        let (body, _) = wire.body(&head.request_framing());
        assert_eq!(body.len(), SIZE);
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Then::Keep
    });
    let edge = Setup::to(&origin).service("buffer_requests = \"0\"").site("body_size = \"1GiB\"").start();
    let mut client = edge.h2("app.test");
    let request = client.request("POST", "/sink").header("content-length", SIZE);
    let (answer, mut stream) = client.begin(request, false).unwrap();
    let body = Bytes::from(vec![b'x'; SIZE]);
    let taken = client.run(async {
        let mut taken = 0;
        let sending = async {
            while taken < SIZE {
                stream.reserve_capacity(SIZE - taken);
                let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
                stream.send_data(body.slice(taken..taken + room), false).unwrap();
                taken += room;
            }
        };
        let _ = tokio::time::timeout(seconds(1), sending).await;
        taken
    });
    assert!(taken < SIZE / 4, "{taken} bytes were taken for a backend that reads nothing");
    go.send(()).unwrap();
    client.run(send_all(&mut stream, body.slice(taken..), true)).unwrap();
    assert_eq!(client.finish(answer).unwrap().status, 200);
}

#[test]
fn an_answer_that_comes_before_the_upload_has_ended_reaches_the_client() {
    let origin = Origin::start("blue");
    origin.on("/early", |_, wire| {
        wire.exactly(10).unwrap();
        wire.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope");
        wire.closes_within(seconds(5));
        Then::Close
    });
    let edge = Setup::to(&origin).service("buffer_requests = \"0\"").start();
    for mut client in [edge.plain(), edge.tls("app.test")] {
        // More than the sockets hold, so the client still sends after the answer.
        client.begin("POST", "/early", "Content-Length: 5000000\r\n").send(vec![b'x'; 1_000_000]);
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (403, "nope"));
    }
    let mut client = edge.h2("app.test");
    let (answer, mut stream) = client.begin(client.request("POST", "/early"), false).unwrap();
    stream.send_data(Bytes::from(vec![b'x'; 1000]), false).unwrap();
    let answer = client.finish(answer).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (403, "nope"));
    assert_eq!(client.get("/").status, 200);
}

/// A path whose handler answers a head, waits for the other side to leave, and says so.
fn watch_abort(origin: &Origin, path: &str, first: &'static str) -> mpsc::Receiver<bool> {
    let (left, leaving) = mpsc::channel();
    origin.on(path, move |_, wire| {
        wire.send(first);
        left.send(wire.closes_within(seconds(8))).unwrap();
        Then::Close
    });
    leaving
}

#[test]
fn a_client_that_leaves_is_noticed_by_the_backend() {
    let origin = Origin::start("blue");
    let waiting = watch_abort(&origin, "/waiting", "");
    let streaming = watch_abort(&origin, "/streaming", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345");
    let edge = Setup::to(&origin).start();
    for path in ["/waiting", "/streaming"] {
        let leaving = if path == "/waiting" { &waiting } else { &streaming };
        for (n, mut client) in [edge.plain(), edge.tls("app.test")].into_iter().enumerate() {
            client.begin("GET", path, "");
            wait_until("the request to arrive", || origin.count(path) == n + 1);
            drop(client);
            assert!(leaving.recv_timeout(PATIENCE).unwrap(), "{path}: the backend was left waiting");
        }
        let mut client = edge.h2("app.test");
        let (answer, mut stream) = client.begin(client.request("GET", path), true).unwrap();
        wait_until("the request to arrive", || origin.count(path) == 3);
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        assert!(leaving.recv_timeout(PATIENCE).unwrap(), "{path}: the backend was left waiting");
        assert_eq!(client.get("/").status, 200, "the connection is still good");
    }
    assert_eq!(edge.logged_path("/waiting")["status"], 499);
    assert_eq!(edge.logged_path("/streaming")["error"], "client_aborted");
}

#[test]
fn an_answer_that_breaks_off_does_not_look_whole() {
    let origin = Origin::start("blue");
    for (path, head) in [
        ("/length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345"),
        ("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"),
    ] {
        origin.on(path, move |_, wire| {
            wire.send(head);
            Then::Close
        });
    }
    let edge = Setup::to(&origin).start();
    for path in ["/length", "/chunked"] {
        let mut client = edge.plain();
        client.begin("GET", path, "");
        let head = client.head().unwrap();
        assert!(client.try_body(&head.answer_framing("GET")).is_err(), "{path} looked whole");
        let mut client = edge.h2("app.test");
        let request = client.request("GET", path);
        assert!(client.ask(request, b"", None).is_err(), "{path} looked whole over h2");
        assert_eq!(client.get("/").status, 200);
        assert_eq!(edge.logged_path(path)["error"], "upstream_aborted");
    }
}

#[test]
fn a_prefix_is_stripped_where_the_route_asks_for_it() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).and("[[site.route]]\npath = \"/api/\"\nstrip_prefix = true\n").start();
    let mut client = edge.tls("app.test");
    client.get("/api/users/7?q=1");
    assert_eq!(origin.seen().pop().unwrap().head.word(1), "/users/7?q=1");
    client.get("/api/");
    assert_eq!(origin.seen().pop().unwrap().head.word(1), "/");
    client.get("/other/api/x");
    assert_eq!(origin.seen().pop().unwrap().head.word(1), "/other/api/x");
    let mut client = edge.h2("app.test");
    client.get("/api/a%20b");
    assert_eq!(origin.seen().pop().unwrap().head.word(1), "/a%20b");
}

#[test]
fn a_target_reaches_the_backend_as_it_was_written() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    for target in ["/a%2Fb", "/a//b", "/%E2%82%AC?q=%20+&x", "/?", "/a;b=c,d", "/~user/'(x)'"] {
        edge.get(target);
        assert_eq!(origin.seen().pop().unwrap().head.word(1), target);
    }
}

#[test]
fn cookie_crumbs_are_joined_for_an_http1_backend() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.h2("app.test");
    let request = client.request("GET", "/cookies").header("cookie", "a=1").header("cookie", "b=2");
    client.ask(request, b"", None).unwrap();
    assert_eq!(origin.saw("/cookies").head.all("cookie"), ["a=1; b=2"]);
}

#[test]
fn a_backend_connection_is_used_again() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    for _ in 0..3 {
        client.get("/");
        client.post("/echo", "body");
        client.ask("HEAD", "/", "", "");
    }
    assert!(origin.seen().iter().all(|seen| seen.connection == 0), "{:?}", origin.seen());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    let requests: String = (0..20)
        .map(|n| format!("POST /echo HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 2\r\n\r\n{n:02}"))
        .collect();
    client.send(requests);
    for n in 0..20 {
        assert_eq!(client.answer().text(), format!("{n:02}"));
    }
}

#[test]
fn an_upload_that_its_http_2_client_gives_up_is_never_taken_for_a_whole_one() {
    let origin = Origin::start("blue");
    let (done, is_done) = mpsc::channel();
    let done = std::sync::Mutex::new(done);
    origin.on("/upload", move |head, wire| {
        let ended_well = wire.try_body(&head.request_framing()).is_ok();
        done.lock().unwrap().send(ended_well).unwrap();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Then::Close
    });
    let edge = Setup::to(&origin).start();
    for (before, reason) in
        [h2::Reason::CANCEL, h2::Reason::NO_ERROR, h2::Reason::INTERNAL_ERROR].into_iter().enumerate()
    {
        let mut client = edge.h2("app.test");
        let (_answer, mut body) = client.begin(client.request("POST", "/upload"), false).unwrap();
        client.run(async { send_all(&mut body, "the first half".into(), false).await }).unwrap();
        wait_until("the backend is asked", || origin.count("/upload") > before);
        body.send_reset(reason);
        let is_whole = client.run(async {
            loop {
                if let Ok(is_whole) = is_done.try_recv() {
                    return is_whole;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(!is_whole, "{reason:?}");
    }
}
