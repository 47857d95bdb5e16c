//! A name with an address in each family is one backend, reached by either; several addresses of one family are several.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::{DeadAddress, Dns, Edge, Origin, Setup, own_address, wait_until};

const V6: Ipv6Addr = Ipv6Addr::LOCALHOST;

/// An address of its own in IPv4, and a port that is free there and at `::1`.
fn place() -> (Ipv4Addr, u16) {
    let v4 = own_address();
    let port = std::iter::repeat_with(|| TcpListener::bind((v4, 0)).unwrap().local_addr().unwrap().port());
    let port = port.take(50).find(|port| TcpListener::bind((V6, *port)).is_ok());
    (v4, port.expect("a port that is free in both families"))
}

fn at(ip: impl Into<IpAddr>, port: u16, says: &str) -> Origin {
    Origin::at(SocketAddr::new(ip.into(), port), says)
}

/// `app.example` has both addresses.
fn both(dns: &Dns, v4: Ipv4Addr) {
    dns.set::<IpAddr>("app.example", &[v4.into(), V6.into()]);
}

fn start(dns: &Dns, port: u16, service: &str) -> Edge {
    let setup = Setup::pool(&[&format!("app.example:{port}")]).server(&dns.resolvers());
    setup.health("interval = \"1h\"").service(service).start()
}

fn backends(edge: &Edge) -> usize {
    edge.status()["pools"][0]["backends"].as_array().unwrap().len()
}

#[test]
fn an_app_that_listens_in_one_family_alone_is_one_healthy_backend() {
    for is_v4 in [true, false] {
        let (dns, (v4, port)) = (Dns::start(), place());
        let _app = if is_v4 { at(v4, port, "it") } else { at(V6, port, "it") };
        both(&dns, v4);
        let edge = start(&dns, port, "");
        assert_eq!((backends(&edge), edge.metric("edge_backend_up")), (1, 1.0));
        for _ in 0..10 {
            assert_eq!(edge.get("/").text(), "it");
        }
        assert_eq!(edge.metric("edge_upstream_failures_total"), 0.0);
    }
}

#[test]
fn the_gate_passes_with_an_app_on_ipv4_in_a_network_with_ipv6() {
    let (dns, (v4, port)) = (Dns::start(), place());
    let (blue, _green) = (Origin::start("blue"), at(v4, port, "green"));
    both(&dns, v4);
    let setup = Setup::blue_green(blue.backend(), &format!("app.example:{port}")).server(&dns.resolvers());
    let edge = setup.start();
    let ran = edge.admin(&["switch", "green"]).ok();
    assert_eq!(edge.get("/").text(), "green", "{ran:?}");
}

#[test]
fn ipv6_is_tried_first_and_the_other_family_serves_when_it_fails() {
    let (dns, (v4, port)) = (Dns::start(), place());
    let (_four, six) = (at(v4, port, "4"), at(V6, port, "6"));
    both(&dns, v4);
    let edge = start(&dns, port, "");
    assert_eq!((edge.get("/").text().as_str(), backends(&edge)), ("6", 1));
    six.stop();
    wait_until("the other family", || {
        let answer = edge.get("/");
        // The connections that were open broke off; no new one is refused.
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text() == "4"
    });
    assert_eq!(edge.metric("edge_backend_up"), 1.0);
}

#[test]
fn the_family_that_works_is_kept() {
    let (dns, (v4, port)) = (Dns::start(), place());
    let _dead = DeadAddress::at(SocketAddr::new(V6.into(), port));
    let _app = at(v4, port, "4");
    both(&dns, v4);
    let edge = start(&dns, port, "keepalive = \"0\"");
    let took: Vec<Duration> = (0..10)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(edge.get("/").text(), "4");
            begun.elapsed()
        })
        .collect();
    assert!(took.iter().all(|took| *took < Duration::from_millis(200)), "IPv6 is waited for: {took:?}");
}

#[test]
fn several_addresses_of_one_family_are_several_backends() {
    let dns = Dns::start();
    let (one, port) = place();
    let two = own_address();
    let _apps = [at(one, port, "1"), at(two, port, "2"), at(V6, port, "1")];
    dns.set::<IpAddr>("app.example", &[one.into(), two.into(), V6.into()]);
    let edge = start(&dns, port, "");
    wait_until("both to be up", || {
        let all = edge.status()["pools"][0]["backends"].as_array().unwrap().clone();
        all.len() == 2 && all.iter().all(|backend| backend["up"] == true)
    });
}
