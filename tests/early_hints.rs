//! 103 Early Hints (RFC 8297): passed on while the answer is waited for, to clients that can tell them from the answer.

use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use crate::support::{Origin, Setup, Then, wait_until};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\n\
    Link: </a.css>; rel=preload; as=style\r\nLink: </b.js>; rel=preload; as=script\r\n\
    Set-Cookie: early=1\r\nConnection: keep-alive\r\n\r\n";

/// Hints at once, and answers only when it is told to.
fn hesitates(origin: &Origin, path: &str, hints: String) -> Sender<()> {
    let (go, may_go) = channel();
    let may_go = Mutex::new(may_go);
    origin.on(path, move |_, wire| {
        wire.send(&hints);
        let _ = may_go.lock().unwrap().recv();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
        Then::Keep
    });
    go
}

#[test]
fn an_http_2_client_gets_them_before_the_answer_exists() {
    let origin = Origin::start("blue");
    let go = hesitates(&origin, "/page", format!("HTTP/1.1 102 Processing\r\n\r\n{HINT}{HINT}"));
    let edge = Setup::to(&origin).start();
    let mut client = edge.h2("app.test");
    let (mut answer, _) = client.begin(client.request("GET", "/page"), true).unwrap();
    for _ in 0..2 {
        let hint = client.run(poll_fn(|cx| answer.poll_informational(cx))).unwrap().unwrap();
        assert_eq!(hint.status(), 103);
        let links: Vec<_> = hint.headers().get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
        assert_eq!(links, ["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"]);
        assert_eq!(hint.headers().len(), 2, "nothing that is about the answer: {:?}", hint.headers());
    }
    go.send(()).unwrap();
    let answer = client.finish(answer).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    assert_eq!(edge.logged(answer.get("x-request-id").unwrap())["status"], 200);
}

#[test]
fn they_come_before_an_answer_that_comes_with_them() {
    let origin = Origin::start("blue");
    let raw = format!("{HINT}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    origin.on("/page", move |_, wire| {
        wire.send(&raw);
        Then::Keep
    });
    let edge = Setup::to(&origin).site("early_hints = true").start();
    let mut client = edge.h2("app.test");
    let (mut answer, _) = client.begin(client.request("GET", "/page"), true).unwrap();
    assert_eq!(client.run(poll_fn(|cx| answer.poll_informational(cx))).unwrap().unwrap().status(), 103);
    assert_eq!(client.finish(answer).unwrap().text(), "body");
    let mut client = edge.plain();
    for _ in 0..3 {
        client.begin("GET", "/page", "");
        assert_eq!(client.head().unwrap().word(1), "103");
        assert_eq!(client.answer().text(), "body");
    }
}

#[test]
fn what_is_said_of_the_length_of_an_interim_answer_counts_for_nothing() {
    let origin = Origin::start("blue");
    for (path, field) in [("/length", "Content-Length: 38"), ("/chunked", "Transfer-Encoding: chunked")] {
        let raw = format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n{field}\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
        );
        origin.on(path, move |_, wire| {
            wire.send(&raw);
            Then::Keep
        });
    }
    let edge = Setup::to(&origin).site("early_hints = true").start();
    for path in ["/length", "/chunked"] {
        let mut client = edge.plain();
        client.begin("GET", path, "");
        let hint = client.head().unwrap();
        assert_eq!((hint.word(1), hint.get("content-length"), hint.get("transfer-encoding")), ("103", None, None));
        assert_eq!(client.answer().text(), "body", "{path}");
        assert_eq!(client.get("/after").text(), "blue", "{path}");
        assert_eq!(edge.h2("app.test").get(path).text(), "body", "{path}");
    }
}

#[test]
fn each_stream_gets_its_own() {
    let origin = Origin::start("blue");
    let gates: Vec<_> = (0..4)
        .map(|i| {
            let path = format!("/{i}");
            hesitates(&origin, &path, format!("HTTP/1.1 103 Early Hints\r\nLink: <{path}>; rel=preload\r\n\r\n"))
        })
        .collect();
    let edge = Setup::to(&origin).start();
    let mut client = edge.h2("app.test");
    let mut answers: Vec<_> =
        (0..4).map(|i| client.begin(client.request("GET", &format!("/{i}")), true).unwrap().0).collect();
    for (i, answer) in answers.iter_mut().enumerate() {
        let hint = client.run(poll_fn(|cx| answer.poll_informational(cx))).unwrap().unwrap();
        assert_eq!(hint.headers()["link"], format!("</{i}>; rel=preload"));
    }
    drop(gates);
    for answer in answers {
        assert_eq!(client.finish(answer).unwrap().status, 200);
    }
}

#[test]
fn an_http_1_client_gets_them_where_the_site_says_so() {
    let origin = Origin::start("blue");
    let go = hesitates(&origin, "/page", HINT.to_owned());
    let edge = Setup::to(&origin).site("early_hints = true").start();
    let mut client = edge.plain();
    client.begin("GET", "/page", "");
    let hint = client.head().unwrap();
    let links = vec!["</a.css>; rel=preload; as=style", "</b.js>; rel=preload; as=script"];
    assert_eq!((hint.word(1), hint.all("link")), ("103", links));
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "body");
    assert_eq!(client.get("/after").text(), "blue");
    let mut old = edge.plain();
    old.send("GET /page HTTP/1.0\r\nHost: plain.test\r\n\r\n");
    go.send(()).unwrap();
    assert_eq!(old.answer().text(), "body", "HTTP/1.0 has no 1xx");
}

#[test]
fn other_http_1_clients_get_the_answer_alone() {
    let origin = Origin::start("blue");
    let go = hesitates(&origin, "/page", HINT.to_owned());
    let edge = Setup::to(&origin).start();
    let mut client = edge.plain();
    client.begin("GET", "/page", "");
    wait_until("the backend has hinted", || origin.count("/page") == 1);
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "body");
}

#[test]
fn what_http_1_pipelines_keeps_its_order() {
    let origin = Origin::start("blue");
    let go = hesitates(&origin, "/second", HINT.to_owned());
    let edge = Setup::to(&origin).site("early_hints = true").start();
    let mut client = edge.plain();
    client.send("GET /first HTTP/1.1\r\nHost: plain.test\r\n\r\nGET /second HTTP/1.1\r\nHost: plain.test\r\n\r\n");
    assert_eq!(client.answer().text(), "blue");
    assert_eq!(client.head().unwrap().word(1), "103");
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "body");
    assert_eq!(client.get("/after").text(), "blue");
}

#[test]
fn a_backend_that_hints_for_ever_costs_a_bounded_number() {
    let origin = Origin::start("blue");
    let go = hesitates(&origin, "/page", HINT.repeat(500));
    let edge = Setup::to(&origin).start();
    let mut client = edge.h2("app.test");
    let (mut answer, _) = client.begin(client.request("GET", "/page"), true).unwrap();
    client.run(poll_fn(|cx| answer.poll_informational(cx))).unwrap().unwrap();
    go.send(()).unwrap();
    let mut hints = 1;
    client.run(async {
        let mut answered = std::pin::pin!(&mut answer);
        poll_fn(|cx| {
            while let std::task::Poll::Ready(Some(Ok(_))) = answered.poll_informational(cx) {
                hints += 1;
            }
            answered.as_mut().poll(cx).map(|answer| assert_eq!(answer.unwrap().status(), 200))
        })
        .await;
    });
    assert!(hints <= 16, "{hints}");
}
