//! Limits are exact, their memory is bounded, and a refused client gets to read the refusal.

use std::time::Duration;

use crate::support::{Answer, Client, Edge, Origin, Setup, Then, seconds, wait_until};

/// The site without TLS behind a zone that passes 21 requests, and one more an hour.
fn limited(origin: &Origin, more: &str) -> Setup {
    let zone = format!("[zone.api]\nrate = \"1r/h\"\nburst = 20\n{more}\n");
    Setup::to(origin).site("limit = [\"api\"]").and(&zone)
}

/// Asks as a client behind a trusted proxy.
fn from(client: &mut Client, ip: &str) -> Answer {
    client.ask("GET", "/", &format!("X-Forwarded-For: {ip}\r\n"), "")
}

#[test]
fn exactly_the_burst_and_one_pass_then_429() {
    let origin = Origin::start("blue");
    let edge = limited(&origin, "").start();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..30).map(|_| scope.spawn(|| edge.get("/").status)).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 21, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 9, "{statuses:?}");
    assert_eq!(origin.count("/"), 21);
    let refused = edge.get("/");
    let retry: u64 = refused.get("retry-after").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&retry), "{retry}");
    assert!(refused.get("ratelimit-policy").unwrap().starts_with("\"api\";q=21;w="), "{:?}", refused.head);
    assert!(refused.get("ratelimit").unwrap().starts_with("\"api\";r=0;t="), "{:?}", refused.head);
    let line = edge.logged(refused.id());
    assert_eq!((&line["limited"], &line["error"]), (&"api".into(), &"limited".into()));
    assert_eq!(edge.metric("edge_rate_limited_total{zone=\"api\",mode=\"refused\"}"), 10.0);
}

#[test]
fn after_the_burst_the_rate_holds() {
    let origin = Origin::start("blue");
    let zone = "[zone.api]\nrate = \"5r/s\"\nburst = 0\n";
    let edge = Setup::to(&origin).site("limit = [\"api\"]").and(zone).start();
    let started = std::time::Instant::now();
    let mut client = edge.plain();
    let mut passed = 0;
    while started.elapsed() < seconds(2) {
        passed += u32::from(client.get("/").status == 200);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!((10..=11).contains(&passed), "{passed} in two seconds at 5r/s");
}

#[test]
fn a_delaying_zone_lets_requests_wait_for_their_turn() {
    let origin = Origin::start("blue");
    let zone = "[zone.api]\nrate = \"10r/s\"\nburst = 5\ndelay = true\n";
    let edge = Setup::to(&origin).site("limit = [\"api\"]").and(zone).start();
    let started = std::time::Instant::now();
    let mut client = edge.plain();
    for _ in 0..6 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(started.elapsed() >= Duration::from_millis(450), "{:?} for six at 10r/s", started.elapsed());
}

#[test]
fn the_wait_for_a_turn_is_not_counted_as_the_backends_time() {
    let origin = Origin::start("blue");
    origin.on("/slow", |_, wire| {
        std::thread::sleep(Duration::from_millis(300));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        Then::Keep
    });
    let zone = "[zone.api]\nrate = \"20r/m\"\nburst = 5\ndelay = true\n";
    let edge = Setup::to(&origin).site("limit = [\"api\"]").and(zone).service("response_timeout = \"2500ms\"").start();
    let mut client = edge.plain();
    for path in ["/", "/slow"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
}

#[test]
fn each_client_has_a_limit_of_its_own_and_ipv6_counts_by_its_64() {
    let origin = Origin::start("blue");
    let edge = limited(&origin, "").server("trusted_proxies = [\"127.0.0.1\"]").start();
    let mut client = edge.plain();
    for n in 0..21 {
        assert_eq!(from(&mut client, "203.0.113.1").status, 200);
        assert_eq!(from(&mut client, &format!("2001:db8:1:1::{n:x}")).status, 200);
    }
    assert_eq!(from(&mut client, "203.0.113.1").status, 429);
    assert_eq!(from(&mut client, "203.0.113.2").status, 200);
    assert_eq!(from(&mut client, "2001:db8:1:1:ffff::1").status, 429);
    assert_eq!(from(&mut client, "2001:db8:1:2::1").status, 200);
}

#[test]
fn bursts_from_many_addresses_keep_keys_and_memory_bounded() {
    let origin = Origin::start("blue");
    let edge = limited(&origin, "max_keys = 1000").server("trusted_proxies = [\"127.0.0.1\"]").start();
    burst(&edge, 0);
    assert_eq!(edge.metric("edge_rate_limit_keys{zone=\"api\"}"), 1000.0);
    let before = edge.memory();
    for round in 1..4 {
        burst(&edge, round);
    }
    assert_eq!(edge.metric("edge_rate_limit_keys{zone=\"api\"}"), 1000.0);
    let grown = edge.memory().saturating_sub(before);
    assert!(grown < 8, "{grown} MiB more");
    assert_eq!(edge.metric("edge_rate_limited_total"), 0.0, "no client within its limit was refused");
}

/// 5,000 requests, each from another address.
fn burst(edge: &Edge, round: u32) {
    let mut client = edge.plain();
    for batch in 0..50 {
        let requests: String = (0..100)
            .map(|n| {
                let [a, b, c, d] = (0x0b00_0000 + round * 5000 + batch * 100 + n).to_be_bytes();
                format!("GET / HTTP/1.1\r\nHost: plain.test\r\nX-Forwarded-For: {a}.{b}.{c}.{d}\r\n\r\n")
            })
            .collect();
        client.send(requests);
        for _ in 0..100 {
            assert_eq!(client.answer().status, 200);
        }
    }
}

#[test]
fn exempt_networks_are_not_counted() {
    let origin = Origin::start("blue");
    let edge = limited(&origin, "exempt = [\"127.0.0.0/8\"]").start();
    let mut client = edge.plain();
    for _ in 0..50 {
        assert_eq!(client.get("/").status, 200);
    }
    assert_eq!(edge.metric("edge_rate_limit_keys{zone=\"api\"}"), 0.0);
}

#[test]
fn a_dry_run_counts_and_refuses_nothing() {
    let origin = Origin::start("blue");
    let edge = limited(&origin, "dry_run = true").start();
    let mut client = edge.plain();
    let answers: Vec<Answer> = (0..25).map(|_| client.get("/")).collect();
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(edge.metric("edge_rate_limited_total{zone=\"api\",mode=\"dry_run\"}"), 4.0);
    assert_eq!(edge.logged(answers[24].id())["limited"], "api");
}

#[test]
fn a_routes_zones_replace_the_sites() {
    let origin = Origin::start("blue");
    let more = "[zone.login]\nrate = \"1r/h\"\nburst = 0\nkey = \"ip+path\"\n\
                [[site.route]]\npath = \"/login/\"\nlimit = [\"login\"]\n";
    let edge = limited(&origin, more).start();
    let mut client = edge.tls("app.test");
    assert_eq!((client.get("/login/a").status, client.get("/login/a").status), (200, 429));
    assert_eq!(client.get("/login/b").status, 200);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn the_connections_of_one_address_are_bounded_and_others_are_served() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("connections_per_ip = 5").start();
    let mut open: Vec<Client> = (0..5).map(|_| edge.plain()).collect();
    assert!(open.iter_mut().all(|client| client.get("/").status == 200));
    assert!(edge.plain().closes_within(seconds(5)), "the sixth");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
    socket.connect(&edge.http().into()).unwrap();
    assert_eq!(Client::on(std::net::TcpStream::from(socket), "plain.test").get("/").status, 200);
    open.pop();
    wait_until("a place to be free", || {
        let mut client = edge.plain();
        client.begin("GET", "/", "");
        client.try_answer().is_some()
    });
}

#[test]
fn behind_a_load_balancer_the_connections_of_each_client_are_bounded() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).server("proxy_protocol = [\"127.0.0.0/8\"]").limits("connections_per_ip = 2").start();
    let connect = |source: &str| {
        let mut client = edge.plain();
        client.send(format!("PROXY {source} 5000 80\r\n"));
        client.begin("GET", "/", "");
        client
    };
    let mut open = Vec::new();
    for (source, is_served) in [
        ("TCP4 192.0.2.1 192.0.2.9", true),
        ("TCP4 192.0.2.1 192.0.2.9", true),
        ("TCP4 192.0.2.1 192.0.2.9", false),
        ("TCP6 ::ffff:192.0.2.1 ::1", false),
        ("TCP4 192.0.2.2 192.0.2.9", true),
        ("TCP6 2001:db8::1 ::1", true),
        ("TCP6 2001:db8::2 ::1", true),
        ("TCP6 2001:db8::3 ::1", false),
        ("TCP6 2001:db8:0:1::1 ::1", true),
    ] {
        let mut client = connect(source);
        assert_eq!(client.try_answer().is_some(), is_served, "{source}");
        open.push(client);
    }
    // Checks of the balancer's own are no client's.
    for _ in 0..5 {
        let mut check = edge.plain();
        check.send("PROXY UNKNOWN\r\n");
        check.begin("GET", "/", "");
        assert_eq!(check.answer().status, 200);
        open.push(check);
    }
}

#[test]
fn the_connections_of_all_clients_are_bounded() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("connections = 5").start();
    let mut open: Vec<Client> = (0..5).map(|_| edge.plain()).collect();
    assert!(open.iter_mut().all(|client| client.get("/").status == 200));
    assert!(edge.plain().closes_within(seconds(5)), "the sixth");
    edge.said("a connection was closed: all 5 of [limits] connections are open");
    assert_eq!(edge.metric("edge_connections_refused_total{limit=\"connections\"}"), 1.0);
}

#[test]
fn a_body_too_large_is_refused_and_the_answer_is_readable_while_the_client_sends_on() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).site("body_size = \"64KiB\"").start();
    for tls in [false, true] {
        let connect = || if tls { edge.tls("app.test") } else { edge.plain() };
        let mut client = connect();
        client.begin("POST", "/echo", "Content-Length: 5000000\r\n").send(vec![b'x'; 500_000]);
        assert_eq!(client.answer().status, 413, "the announced length is too large");
        assert!(client.closes_within(seconds(5)));

        let mut client = connect();
        client.begin("POST", "/echo", "Transfer-Encoding: chunked\r\n");
        for _ in 0..50 {
            client.send(format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000)));
        }
        let answer = client.answer();
        assert_eq!(answer.status, 413, "the body is found to be too large");
        assert!(client.closes_within(seconds(5)));
        assert_eq!(edge.logged(answer.id())["error"], "body_too_large");
    }
    let mut client = edge.h2("app.test");
    let request = client.request("POST", "/echo");
    let answer = client.ask(request, &vec![b'x'; 100_000], None).unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(client.get("/").status, 200, "the connection goes on");
    assert_eq!(client.post("/echo", &vec![b'x'; 60_000]).status, 200);
}

#[test]
fn a_connection_ends_after_so_many_requests() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).limits("keepalive_requests = 3").start();
    let mut client = edge.plain();
    assert_eq!(client.get("/").get("connection"), None);
    assert_eq!(client.get("/").get("connection"), None);
    assert_eq!(client.get("/").get("connection"), Some("close"));
    assert!(client.closes_within(seconds(5)));
}

#[test]
fn h2_streams_beyond_the_limit_wait_or_are_refused_never_served_at_once() {
    let origin = Origin::start("blue");
    origin.on("/slow", |_, wire| {
        std::thread::sleep(Duration::from_millis(100));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        crate::support::Then::Keep
    });
    let edge = Setup::to(&origin).limits("h2_streams = 3").start();
    let mut client = edge.h2("app.test");
    client.get("/");
    let started = std::time::Instant::now();
    let mut answers = Vec::new();
    for _ in 0..9 {
        answers.push(client.begin(client.request("GET", "/slow"), true).unwrap().0);
    }
    for answer in answers {
        assert_eq!(client.finish(answer).unwrap().status, 200);
    }
    assert!(started.elapsed() >= Duration::from_millis(290), "nine in {:?}, three at once", started.elapsed());
}
