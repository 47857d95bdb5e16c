//! A backend's name is followed when its addresses change, an address that it has no more gets nothing, and a failing DNS takes
//! no backend away.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Instant;

use crate::support::{Dns, Edge, Origin, Setup, own_address, seconds, wait_until};

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

/// Two colours by name.
fn colored(dns: &Dns, port: u16) -> Setup {
    let setup = Setup::blue_green(&format!("app-blue.example:{port}"), &format!("app-green.example:{port}"));
    setup.server(&dns.resolvers())
}

/// Waits until the name server was asked for `rounds` more times for both families of both names.
fn wait_for_look_ups(dns: &Dns, rounds: usize) {
    let asked = dns.asked();
    wait_until("look-ups", || dns.asked() >= asked + 4 * rounds);
}

fn is_up(edge: &Edge, pool: usize) -> bool {
    edge.status()["pools"][pool]["backends"][0]["up"] == true
}

#[test]
fn an_address_is_dropped_when_its_name_is_gone_or_empty() {
    for is_empty in [false, true] {
        let dns = Dns::start();
        let (_origins, [address], port) = origins(["it"]);
        dns.set("backend.example", &[address]);
        let edge = started(&dns, port);
        wait_until("the first answer", || answered_by(&edge) == "it");
        if is_empty {
            dns.set_empty("backend.example");
        } else {
            dns.remove("backend.example");
        }
        // It still answers there, but it is no longer known to be the backend.
        wait_until("the address to be dropped", || edge.get("/").status == 503);
        edge.said("name is gone");
        dns.set("backend.example", &[address]);
        wait_until("it to be back", || answered_by(&edge) == "it");
    }
}

#[test]
fn a_name_that_was_gone_for_one_look_up_keeps_its_address() {
    let dns = Dns::start();
    let (_origins, [address], port) = origins(["it"]);
    dns.set("backend.example", &[address]);
    let edge = started(&dns, port);
    wait_until("the first answer", || answered_by(&edge) == "it");
    dns.remove("backend.example");
    edge.said("name not resolved");
    dns.set("backend.example", &[address]);
    let asked = dns.asked();
    wait_until("another look-up", || {
        assert_eq!(answered_by(&edge), "it");
        dns.asked() > asked
    });
    assert!(!edge.stderr().contains("name is gone"));
}

#[test]
fn silence_and_servfail_keep_the_address_for_ever() {
    for silent in [true, false] {
        let dns = Dns::start();
        let (_origins, [address], port) = origins(["it"]);
        dns.set("backend.example", &[address]);
        let edge = started(&dns, port);
        wait_until("the first answer", || answered_by(&edge) == "it");
        if silent {
            dns.set_silent(true);
        } else {
            dns.set_failing(true);
        }
        edge.said("name not resolved");
        let asked = dns.asked();
        wait_until("many look-ups", || {
            assert_eq!(answered_by(&edge), "it");
            dns.asked() > asked + 10
        });
    }
}

#[test]
fn no_switch_leads_to_an_address_that_the_name_has_no_more() {
    let dns = Dns::start();
    let (_origins, [blue, foreign], port) = origins(["blue", "foreign"]);
    dns.set("app-blue.example", &[blue]);
    dns.set("app-green.example", &[foreign]);
    let edge = colored(&dns, port).start();
    wait_until("both to be up", || is_up(&edge, 0) && is_up(&edge, 1));
    // The container is removed, and another one has got its address and answers there.
    dns.remove("app-green.example");
    let begun = Instant::now();
    let ran = edge.admin(&["switch", "green"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("name \"app-green.example\" does not resolve"), "{ran:?}");
    let took = begun.elapsed();
    assert!((seconds(4)..seconds(9)).contains(&took), "refused after {took:?}");
    assert_eq!((edge.status()["active"].as_str(), answered_by(&edge)), (Some("blue"), "blue".to_owned()));
    dns.set("app-green.example", &[foreign]);
    edge.admin(&["switch", "green"]).ok();
}

#[test]
fn a_rollback_to_a_name_that_is_gone_is_refused_at_once() {
    let dns = Dns::start();
    let (_origins, [blue, green], port) = origins(["blue", "green"]);
    dns.set("app-blue.example", &[blue]);
    dns.set("app-green.example", &[green]);
    let edge = colored(&dns, port).start();
    edge.admin(&["switch", "green"]).ok();
    dns.remove("app-blue.example");
    let begun = Instant::now();
    let ran = edge.admin(&["rollback"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("name \"app-blue.example\" does not resolve"), "{ran:?}");
    assert!(begun.elapsed() < seconds(2), "refused after {:?}", begun.elapsed());
    assert_eq!(answered_by(&edge), "green");
    dns.set("app-blue.example", &[blue]);
    edge.admin(&["rollback"]).ok();
}

#[test]
fn a_wait_is_patient_with_a_name_that_comes_late() {
    let dns = Dns::start();
    let (_origins, [blue, green], port) = origins(["blue", "green"]);
    dns.set("app-blue.example", &[blue]);
    let edge = colored(&dns, port).start();
    let waiting = edge.command(&["wait", "green", "--timeout", "20s"]).spawn().unwrap();
    wait_for_look_ups(&dns, 24);
    dns.set("app-green.example", &[green]);
    let ended = waiting.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn colours_that_restart_and_exchange_their_addresses_never_answer_for_each_other() {
    let dns = Dns::start();
    let (origins, [one, two], port) = origins(["blue", "green"]);
    dns.set("app-blue.example", &[one]);
    dns.set("app-green.example", &[two]);
    let edge = colored(&dns, port).health("interval = \"2s\"").start();
    wait_until("both to be up", || is_up(&edge, 0) && is_up(&edge, 1));
    drop(origins);
    assert_ne!(edge.get("/").status, 200);
    wait_until("both to be down", || edge.metric("edge_backend_up") == 0.0);
    dns.exchange("app-blue.example", "app-green.example");
    let at = |address: Ipv4Addr, color: &str| Origin::at(SocketAddr::from((address, port)), color);
    let _restarted = [at(one, "green"), at(two, "blue")];
    wait_until("blue to serve", || {
        let answer = edge.get("/");
        assert_ne!(answer.text(), "green", "blue's traffic was answered by green");
        answer.text() == "blue"
    });
}

#[test]
fn another_container_at_the_address_of_one_that_was_removed_gets_nothing() {
    let dns = Dns::start();
    let ([own], [address], port) = origins(["own"]);
    dns.set("backend.example", &[address]);
    let setup = Setup::pool(&[&format!("backend.example:{port}")]).server(&dns.resolvers());
    let edge = setup.health("interval = \"1h\"").start();
    assert_eq!(answered_by(&edge), "own");
    own.stop();
    dns.remove("backend.example");
    assert_ne!(edge.get("/").status, 200);
    // The first request that was refused has the name looked up at once.
    edge.said("name not resolved");
    let addr = SocketAddr::from((address, port));
    wait_until("the address to be free", || TcpListener::bind(addr).is_ok());
    let foreign = Origin::at(addr, "foreign");
    let until = Instant::now() + seconds(2);
    while Instant::now() < until {
        assert_ne!(answered_by(&edge), "foreign");
    }
    assert_eq!(foreign.seen().len(), 0);
    assert_eq!(edge.status()["pools"][0]["unresolved"][0]["address"], format!("backend.example:{port}"));
}

#[test]
fn names_that_exchange_their_addresses_take_no_connection_with_them() {
    let dns = Dns::start();
    let (origins, [one, two], port) = origins(["one", "two"]);
    dns.set("app-blue.example", &[one]);
    dns.set("app-green.example", &[two]);
    let edge = colored(&dns, port).start();
    wait_until("both to be up", || is_up(&edge, 0) && is_up(&edge, 1));
    let mut client = edge.plain();
    assert_eq!(client.get("/").text(), "one");
    edge.admin(&["switch", "green", "--drain", "0s"]).ok();
    assert_eq!(client.get("/").text(), "two");
    let connections = |origin: &Origin| origin.seen().last().unwrap().connection;
    let before = connections(&origins[1]);
    dns.exchange("app-blue.example", "app-green.example");
    wait_until("green to be at the other address", || client.get("/").text() == "one");
    let met = origins[1].count("/");
    for _ in 0..10 {
        assert_eq!(client.get("/").text(), "one");
    }
    assert_eq!(origins[1].count("/"), met);
    // Blue is there now, on a connection of its own.
    edge.admin(&["switch", "blue"]).ok();
    assert_eq!(client.get("/").text(), "two");
    assert!(connections(&origins[1]) > before, "a connection of green was used for blue");
}

#[test]
fn a_failed_connection_looks_the_name_up_at_once() {
    let dns = Dns::start();
    let ([first, _second], [one, two], port) = origins(["first", "second"]);
    dns.set("backend.example", &[one]);
    let setup = Setup::pool(&[&format!("backend.example:{port}")]).server(&dns.resolvers());
    let edge = setup.health("interval = \"1h\"").start();
    assert_eq!(answered_by(&edge), "first");
    let asked = dns.asked();
    wait_until("a look-up at leisure, so that the next is far away", || dns.asked() >= asked + 2);
    first.stop();
    dns.set("backend.example", &[two]);
    let begun = Instant::now();
    wait_until("the second to answer", || answered_by(&edge) == "second");
    assert!(begun.elapsed() < seconds(3), "after {:?}", begun.elapsed());
}
