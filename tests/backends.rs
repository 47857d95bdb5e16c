//! A backend that fails requests gets none for a while; a backend that is full gets no more than it can take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::load::{echo, open_websocket};
use crate::support::{Client, Edge, Origin, Setup, Then, assert_has_our_fields, serves_load, wait_until};

/// A backend that passes its probes, resets requests for `/` and answers all others.
fn resetting(color: &str) -> Origin {
    let origin = Origin::start(color);
    origin.on("/", |_, _| Then::Close);
    origin
}

fn pool(origins: &[&Origin], health: &str, service: &str) -> Edge {
    let backends: Vec<&str> = origins.iter().map(|origin| origin.backend()).collect();
    let edge = Setup::pool(&backends).health(health).service(service).start();
    wait_until("all to be up", || edge.metric("edge_backend_up") == origins.len() as f64);
    edge
}

fn ejections(edge: &Edge) -> f64 {
    edge.metric("edge_backend_ejections_total")
}

/// What the status says of the ejection of backend `number`.
fn ejected(edge: &Edge, number: usize) -> serde_json::Value {
    edge.status()["pools"][0]["backends"][number]["ejected"].clone()
}

#[test]
fn three_resets_in_a_row_take_a_backend_out_and_no_request_is_lost() {
    const OUT: Duration = Duration::from_secs(3);
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "fail_timeout = \"3s\"", "");
    let begun = Instant::now();
    wait_until("it to be out", || edge.get("/").text() == "good" && !ejected(&edge, 1).is_null());
    let (met, status) = (bad.count("/"), ejected(&edge, 1));
    assert_eq!(met, 3);
    assert!(status["seconds_left"].as_u64().is_some_and(|left| (1..=3).contains(&left)), "{status}");
    // While it is out it gets no requests.
    for _ in 0..40 {
        assert_eq!(edge.get("/").text(), "good");
        let met = bad.count("/");
        assert!(met == 3 || begun.elapsed() >= OUT, "asked again after {:?}", begun.elapsed());
    }
    assert_eq!(status["why"], "3 failures in a row, the last: upstream_reset", "{status}");
    assert!(ejected(&edge, 0).is_null());
    let sample = format!("edge_backend_ejections_total{{service=\"app\",color=\"\",backend=\"{}\"}} 1", bad.backend());
    assert_eq!(edge.metric(sample.trim_end_matches(" 1")), 1.0);
    edge.said("backend ejected");
    // Back after its time: the next failure takes it out at once, for twice as long.
    wait_until("it to be asked again", || edge.get("/").text() == "good" && bad.count("/") > 3);
    assert!(begun.elapsed() >= OUT, "back too early");
    edge.said("backend no longer ejected");
    wait_until("it to be out again", || ejections(&edge) == 2.0);
    assert_eq!(bad.count("/"), 4);
    let left = ejected(&edge, 1)["seconds_left"].as_u64();
    assert!(left.is_some_and(|left| (4..=6).contains(&left)), "{left:?}");
}

#[test]
fn a_backend_that_has_recovered_serves_again() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "fail_timeout = \"500ms\"", "");
    wait_until("it to be out", || edge.get("/").text() == "good" && ejections(&edge) == 1.0);
    bad.answers("/", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
    wait_until("it to serve", || edge.get("/").text() == "well");
    assert!(ejected(&edge, 1).is_null());
    assert_eq!(ejections(&edge), 1.0);
}

#[test]
fn at_most_half_of_a_pool_is_out_and_never_its_last_backend() {
    let [a, b, c] = ["a", "b", "c"].map(resetting);
    let edge = pool(&[&a, &b, &c], "fail_timeout = \"1h\"", "");
    for _ in 0..12 {
        assert_eq!(edge.get("/").status, 502);
    }
    assert_eq!(ejections(&edge), 1.0, "one of three");
    let alone = resetting("alone");
    let edge = pool(&[&alone], "", "");
    for _ in 0..5 {
        assert_eq!(edge.get("/").status, 502);
    }
    assert_eq!((ejections(&edge), alone.count("/")), (0.0, 5));
}

#[test]
fn the_last_backend_that_serves_is_not_taken_out_when_the_others_are_down() {
    let (last, down) = (resetting("last"), Origin::start("down"));
    let edge = pool(&[&last, &down], "fall = 1", "");
    down.set_health(500);
    wait_until("one to be down", || edge.metric("edge_backend_up") == 1.0);
    for _ in 0..5 {
        assert_eq!(edge.get("/").status, 502);
    }
    assert_eq!(ejections(&edge), 0.0);
}

#[test]
fn an_answer_between_failures_begins_their_count_anew() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "max_fails = 2", "balance = \"round-robin\"\nretries = 0");
    // Each request has a connection of its own, so two in turn meet both backends.
    for _ in 0..5 {
        let met = [edge.get("/").status, edge.get("/").status];
        assert!(met.contains(&502) && met.contains(&200), "{met:?}");
        let met = [edge.get("/well").text(), edge.get("/well").text()];
        assert!(met.contains(&"bad".to_owned()), "{met:?}");
    }
    assert_eq!(ejections(&edge), 0.0);
}

#[test]
fn a_connection_that_was_closed_while_idle_counts_as_no_failure() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let edge = pool(&[&one, &two], "max_fails = 1", "");
    for _ in 0..20 {
        assert_eq!((edge.get("/").status, edge.get("/").status), (200, 200));
        one.close_connections();
        two.close_connections();
    }
    assert_eq!(ejections(&edge), 0.0);
}

#[test]
fn with_max_fails_0_only_probes_take_a_backend_out() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "max_fails = 0", "");
    for _ in 0..20 {
        assert_eq!(edge.get("/").text(), "good");
    }
    assert_eq!(ejections(&edge), 0.0);
    assert!(bad.count("/") > 3);
}

/// A backend that answers `/slow` once for each message sent to it.
fn held() -> (Origin, Sender<()>) {
    let origin = Origin::start("held");
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    origin.on("/slow", move |_, wire| {
        let _ = released.lock().unwrap().recv();
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        Then::Keep
    });
    (origin, release)
}

fn waiting(edge: &Edge, count: usize) {
    wait_until(&format!("{count} in the queue"), || edge.metric("edge_http_requests_queued") == count as f64);
}

/// A client whose request is under way and not answered.
fn asks(edge: &Edge, path: &str) -> Client {
    let mut client = edge.plain();
    client.begin("GET", path, "");
    client
}

#[test]
fn no_backend_has_more_than_its_bound_and_every_request_is_served() {
    let origins = [Origin::start("a"), Origin::start("b")];
    let most = origins.each_ref().map(|origin| {
        let (inside, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let seen = most.clone();
        origin.on("/work", move |_, wire| {
            seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            inside.fetch_sub(1, Ordering::SeqCst);
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            Then::Keep
        });
        most
    });
    let edge = pool(&origins.each_ref(), "", "max_in_flight = 3");
    thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut client = edge.plain();
                for _ in 0..10 {
                    assert_eq!(client.get("/work").status, 200);
                }
            });
        }
    });
    assert_eq!(most.map(|most| most.load(Ordering::SeqCst)), [3, 3]);
    waiting(&edge, 0);
    assert!(edge.status()["pools"][0]["backends"][0]["in_flight"] == 0);
}

#[test]
fn waiting_requests_are_served_in_the_order_they_came() {
    let (origin, release) = held();
    let edge = pool(&[&origin], "", "max_in_flight = 1");
    let mut clients = vec![asks(&edge, "/slow?0")];
    wait_until("the first at the backend", || origin.count("/slow") == 1);
    for n in 1..=8 {
        clients.push(asks(&edge, &format!("/slow?{n}")));
        waiting(&edge, n);
    }
    assert_eq!(edge.status()["pools"][0]["queued"], 8);
    for client in &mut clients {
        release.send(()).unwrap();
        assert_eq!(client.answer().text(), "done");
    }
    let order: Vec<String> = origin.seen().iter().map(|seen| seen.head.word(1).to_owned()).collect();
    assert_eq!(order, (0..=8).map(|n| format!("/slow?{n}")).collect::<Vec<_>>());
}

#[test]
fn after_queue_timeout_the_answer_is_503_with_retry_after() {
    let (origin, release) = held();
    let edge = pool(&[&origin], "", "max_in_flight = 1\nqueue_timeout = \"300ms\"");
    let mut first = asks(&edge, "/slow");
    wait_until("the first at the backend", || origin.count("/slow") == 1);
    let begun = Instant::now();
    let answer = edge.get("/");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!((answer.status, answer.get("retry-after")), (503, Some("5")));
    assert!(answer.text().contains("all backends are busy"), "{}", answer.text());
    assert_has_our_fields(&answer);
    assert_eq!(edge.logged(answer.id())["error"], "queue_timeout");
    release.send(()).unwrap();
    assert_eq!(first.answer().text(), "done");
    assert_eq!(edge.get("/").status, 200);
}

#[test]
fn a_client_that_goes_away_leaves_the_queue() {
    let (origin, release) = held();
    let edge = pool(&[&origin], "", "max_in_flight = 1");
    let mut first = asks(&edge, "/slow");
    wait_until("the first at the backend", || origin.count("/slow") == 1);
    let impatient = asks(&edge, "/gone");
    waiting(&edge, 1);
    let mut patient = asks(&edge, "/");
    waiting(&edge, 2);
    drop(impatient);
    waiting(&edge, 1);
    release.send(()).unwrap();
    assert_eq!((first.answer().text(), patient.answer().text()), ("done".to_owned(), "held".to_owned()));
    assert_eq!(origin.count("/gone"), 0);
    assert_eq!(edge.logged_path("/gone")["status"], 499);
}

#[test]
fn a_stream_that_is_reset_leaves_the_queue_and_a_full_queue_refuses() {
    let (origin, release) = held();
    let edge = pool(&[&origin], "", "max_in_flight = 1\nqueue_timeout = \"30s\"");
    let mut first = asks(&edge, "/slow");
    wait_until("the first at the backend", || origin.count("/slow") == 1);
    let mut connections: Vec<_> = (0..8).map(|_| edge.h2("app.test")).collect();
    let mut streams = Vec::new();
    for connection in &mut connections {
        streams.extend((0..125).map(|_| connection.begin(connection.request("GET", "/"), true).unwrap()));
    }
    waiting(&edge, 1000);
    let answer = edge.get("/");
    assert_eq!((answer.status, answer.get("retry-after")), (503, Some("5")));
    assert_eq!(edge.logged(answer.id())["error"], "queue_full");
    for (_, stream) in streams.iter_mut().skip(5) {
        stream.send_reset(h2::Reason::CANCEL);
    }
    waiting(&edge, 5);
    release.send(()).unwrap();
    assert_eq!(first.answer().text(), "done");
    for (answer, _) in streams.into_iter().take(5) {
        assert_eq!(connections[0].finish(answer).unwrap().text(), "held");
    }
    assert_eq!(origin.count("/"), 5);
}

#[test]
fn a_websocket_takes_a_place_until_it_ends() {
    let origin = Origin::start("blue");
    serves_load(&origin, "blue");
    let edge = pool(&[&origin], "", "max_in_flight = 1\nqueue_timeout = \"200ms\"");
    let (mut websocket, _) = open_websocket(edge.http()).unwrap();
    assert_eq!(edge.get("/").status, 503);
    echo(&mut websocket, "still here").unwrap();
    drop(websocket);
    wait_until("its place to be free", || edge.get("/").status == 200);
}

#[test]
fn a_backend_that_comes_up_serves_the_waiting_requests() {
    let ((full, release), late) = (held(), Origin::start("late"));
    late.set_health(500);
    let edge =
        Setup::pool(&[full.backend(), late.backend()]).service("max_in_flight = 2\nqueue_timeout = \"30s\"").start();
    wait_until("one to be up", || edge.get("/").status == 200);
    let mut first = [asks(&edge, "/slow"), asks(&edge, "/slow")];
    wait_until("both at the backend", || full.count("/slow") == 2);
    let mut rest: Vec<Client> = (0..5).map(|_| asks(&edge, "/")).collect();
    waiting(&edge, 5);
    late.set_health(200);
    for client in &mut rest {
        assert_eq!(client.answer().text(), "late");
    }
    for _ in &first {
        release.send(()).unwrap();
    }
    for client in &mut first {
        assert_eq!(client.answer().text(), "done");
    }
}

#[test]
fn a_request_that_waits_in_a_pool_that_is_cut_does_not_wait_on() {
    let ((blue, release), green) = (held(), Origin::start("green"));
    let edge = Setup::colors(&blue, &green).service("max_in_flight = 1\nqueue_timeout = \"30s\"").start();
    let mut first = asks(&edge, "/slow");
    wait_until("the first at the backend", || blue.count("/slow") == 1);
    let mut second = asks(&edge, "/");
    waiting(&edge, 1);
    edge.admin(&["switch", "green", "--drain", "100ms"]).ok();
    // The first is cut. The second may get its place before it is cut itself.
    assert_eq!(first.answer().status, 503);
    assert!([200, 503].contains(&second.answer().status));
    assert_eq!(edge.get("/").text(), "green");
    drop(release);
}

#[test]
fn a_backend_that_is_out_serves_again_when_no_other_is_left() {
    let (well, out) = (Origin::start("well"), resetting("out"));
    let edge = pool(&[&well, &out], "fall = 1\nfail_timeout = \"1h\"", "");
    wait_until("it to be out", || edge.get("/").text() == "well" && ejections(&edge) == 1.0);
    out.answers("/", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback");
    well.set_health(500);
    wait_until("the other to be down", || edge.metric("edge_backend_up") == 1.0);
    assert_eq!(edge.get("/").text(), "back");
    assert!(ejected(&edge, 1).is_null());
}
