//! The metrics port and the admin socket: nothing that connects there can keep others out, or hold the daemon up.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::support::{Client, Edge, Origin, Setup, seconds, wait_until};

fn descriptors(edge: &Edge) -> usize {
    fs::read_dir(format!("/proc/{}/fd", edge.pid())).unwrap().count()
}

#[test]
fn connections_that_ask_nothing_give_way_to_those_that_ask() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let before = descriptors(&edge);
    let metrics: Vec<_> = (0..600).map(|_| TcpStream::connect(edge.metrics_addr()).unwrap()).collect();
    let admin: Vec<_> = (0..600).map(|_| UnixStream::connect(edge.path("admin.sock")).unwrap()).collect();
    let asked = Instant::now();
    assert_eq!(edge.ready(), Some(200));
    assert!(edge.metric("edge_build_info") > 0.0);
    edge.admin(&["status"]).ok();
    assert!(asked.elapsed() < seconds(5), "{:?}", asked.elapsed());
    let more = descriptors(&edge) - before;
    assert!(more <= 2 * 128 + 8, "{more} more descriptors are open");
    assert_eq!(edge.get("/").status, 200);
    drop((metrics, admin));
}

/// Whether the other end closes within `limit`.
fn closes(stream: &mut impl Read) -> bool {
    // A timeout of the read is an error, and so is a reset.
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

#[test]
fn a_head_or_a_body_that_does_not_come_is_not_waited_for() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let begun = Instant::now();
    let heads = [
        "",
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\n",
        "POST /v1/services/app/pause HTTP/1.1\r\nHost: edge\r\nContent-Length: 10\r\n\r\n{",
    ];
    let clients = heads.map(|head| {
        let mut metrics = TcpStream::connect(edge.metrics_addr()).unwrap();
        let mut admin = UnixStream::connect(edge.path("admin.sock")).unwrap();
        metrics.write_all(head.as_bytes()).unwrap();
        admin.write_all(head.as_bytes()).unwrap();
        (metrics, admin)
    });
    for (mut metrics, mut admin) in clients {
        metrics.set_read_timeout(Some(seconds(25))).unwrap();
        admin.set_read_timeout(Some(seconds(25))).unwrap();
        assert!(closes(&mut metrics) && closes(&mut admin));
    }
    // A kept connection has as long again after the answer to a body that did not come.
    assert!(begun.elapsed() < seconds(24), "{:?}", begun.elapsed());
}

#[test]
fn a_client_that_never_reads_its_answers_is_let_go() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mut stream = TcpStream::connect(edge.metrics_addr()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let begun = Instant::now();
    // Asks until it is closed, and reads nothing.
    let closed = loop {
        match stream.write(request) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(_) => break true,
        }
        if begun.elapsed() > seconds(30) {
            break false;
        }
    };
    assert!(closed, "it may stay for ever");
}

/// The status of `/metrics` when it is asked for by this host.
fn asked_by(to: SocketAddr, host: &str) -> u16 {
    Client::connect(to, host).get("/metrics").status
}

#[test]
fn on_loopback_metrics_answer_addresses_localhost_and_named_hosts_alone() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin).server("metrics_hosts = [\"prometheus.test\"]");
    let text = setup.text();
    let edge = setup.start();
    let to = edge.metrics_addr();
    for host in
        ["127.0.0.1", "127.0.0.1:9145", "[::1]:9145", "192.0.2.1", "localhost", "LOCALHOST.:80", "Prometheus.test:1"]
    {
        assert_eq!(asked_by(to, host), 200, "{host}");
    }
    for host in ["rebound.example", "localhost.example", "prometheus.test.example", "127.0.0.1.example", "", "a b"] {
        let status = asked_by(to, host);
        assert!(status == 421 || status == 400, "{host}: {status}");
    }
    let mut by_target = Client::connect(to, "localhost");
    assert_eq!(by_target.get("http://rebound.example/metrics").status, 421, "the target names the host, too");
    let mut old = TcpStream::connect(to).unwrap();
    old.write_all(b"GET /livez HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "a check without a Host is no page: {answer}");
    edge.rewrite(&text.replace("prometheus.test", "rebound.example"));
    wait_until("the new host", || asked_by(to, "rebound.example") == 200);
    assert_eq!(asked_by(to, "prometheus.test"), 421);
}

#[test]
fn on_other_addresses_metrics_answer_any_host() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let port = setup.place.metrics.port();
    let text = setup
        .text()
        .replace(&format!("metrics = \"{}\"", setup.place.metrics), &format!("metrics = \"0.0.0.0:{port}\""));
    let edge = Edge::start(setup.place.clone(), &text);
    assert_eq!(asked_by(edge.metrics_addr(), "edge.internal.example:9145"), 200);
}

#[test]
fn no_connection_to_metrics_or_the_admin_socket_holds_up_the_end() {
    let origin = Origin::start("blue");
    let mut edge = Setup::blue_green(origin.backend(), "127.0.0.1:1").server("shutdown_timeout = \"20s\"").start();
    let idle: Vec<_> = (0..50).map(|_| TcpStream::connect(edge.metrics_addr()).unwrap()).collect();
    let mut half = UnixStream::connect(edge.path("admin.sock")).unwrap();
    half.write_all(b"GET /v1/status HTTP/1.1\r\nHo").unwrap();
    let mut kept = edge.api();
    assert_eq!(kept.get("/v1/status").status, 200);
    // A command that waits for what does not come.
    let mut waiting = edge.command(&["wait", "green", "--timeout", "60s"]).spawn().unwrap();
    let told = Instant::now();
    edge.terminate();
    assert_eq!(edge.wait().code(), Some(0));
    assert!(told.elapsed() < seconds(3), "{:?}", told.elapsed());
    let _ = waiting.wait();
    drop(idle);
}
