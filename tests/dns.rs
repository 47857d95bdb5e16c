//! A backend's name is followed when its addresses change, and a failing DNS takes no backend away.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::support::{Dns, Edge, Origin, Setup, own_address, wait_until};

/// Backends on addresses of their own that share a port, as a name's addresses do.
fn origins<const N: usize>(colors: [&str; N]) -> ([Origin; N], [Ipv4Addr; N], u16) {
    let addresses = colors.map(|_| own_address());
    let port = TcpListener::bind((addresses[0], 0)).unwrap().local_addr().unwrap().port();
    let mut index = 0;
    let origins = colors.map(|color| {
        index += 1;
        Origin::at(SocketAddr::from((addresses[index - 1], port)), color)
    });
    (origins, addresses, port)
}

/// A daemon that has started, ready or not: while a name doesn't resolve there is no healthy backend.
fn started(dns: &Dns, port: u16) -> Edge {
    let setup = Setup::pool(&[&format!("backend.example:{port}")]).server(&dns.resolvers()).health("fall = 1");
    let text = setup.text();
    let edge = Edge::spawn(setup.place.clone(), &text);
    wait_until("the listeners to open", || std::net::TcpStream::connect(edge.http()).is_ok());
    edge
}

fn answered_by(edge: &Edge) -> String {
    edge.get("/").text()
}

#[test]
fn the_daemon_starts_before_its_backends_name_resolves() {
    let dns = Dns::start();
    let (_origins, [address], port) = origins(["late"]);
    let edge = started(&dns, port);
    assert_eq!(edge.get("/").status, 503);
    edge.said("does not resolve");
    dns.set("backend.example", &[address]);
    wait_until("the name to be looked up again", || answered_by(&edge) == "late");
}

#[test]
fn a_change_of_address_is_followed_and_a_failing_dns_changes_nothing() {
    let dns = Dns::start();
    let (_origins, [first, second], port) = origins(["first", "second"]);
    dns.set("backend.example", &[first]);
    let edge = started(&dns, port);
    wait_until("the first address", || answered_by(&edge) == "first");
    dns.set_failing(true);
    let asked = dns.asked();
    wait_until("a look-up that fails", || {
        assert_eq!(answered_by(&edge), "first");
        dns.asked() > asked
    });
    assert_eq!(answered_by(&edge), "first", "the last good answer is kept");
    dns.set("backend.example", &[second]);
    dns.set_failing(false);
    wait_until("the second address", || answered_by(&edge) == "second");
    assert_eq!(answered_by(&edge), "second");
}

#[test]
fn every_address_of_a_name_is_probed_and_only_healthy_ones_serve() {
    let dns = Dns::start();
    let ([a, _b, c], addresses, port) = origins(["a", "b", "c"]);
    c.set_health(503);
    dns.set("backend.example", &addresses);
    let edge = started(&dns, port);
    let mut seen = std::collections::BTreeSet::new();
    wait_until("both healthy ones to answer", || {
        let answer = edge.get("/");
        assert_ne!(answer.text(), "c");
        if answer.status == 200 {
            seen.insert(answer.text());
        }
        seen.len() == 2
    });
    a.set_health(503);
    c.set_health(200);
    seen.clear();
    wait_until("the recovered one to answer, the sick one not", || {
        let answers: Vec<String> = (0..6).map(|_| answered_by(&edge)).collect();
        answers.contains(&"c".to_owned()) && !answers.contains(&"a".to_owned())
    });
}
