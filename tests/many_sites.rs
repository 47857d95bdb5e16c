//! A thousand sites, each with a certificate of its own, start and answer as ten do.

use std::time::{Duration, Instant};

use crate::support::{Edge, Identity, Origin, Root, Setup, wait_until};

/// A daemon with `count` sites, and the time from its start to a handshake with the last one.
fn start(origin: &Origin, count: usize) -> (Edge, Duration) {
    let authority = Root::named("Some CA");
    let setup = Setup::to(origin);
    let dir = setup.place.dir().to_owned();
    let mut text = setup.text();
    for number in 0..count {
        let host = format!("site{number}.example");
        let identity = authority.sign_with(&[&host], |params| Identity::valid(params, -1, 90));
        text += &identity.section(&dir, &host);
        text += &format!("[[site]]\nhosts = [\"{host}\", \"www.{host}\"]\nservice = \"app\"\n");
    }
    let begun = Instant::now();
    let mut edge = Edge::spawn(setup.place.clone(), &text);
    let host = format!("site{}.example", count - 1);
    wait_until("the last site to be served", || std::net::TcpStream::connect(edge.https()).is_ok());
    let root = Identity { cert_pem: authority.pem, key_pem: String::new() };
    assert!(edge.hello(&host).trusting(&root).certificate().is_ok());
    let took = begun.elapsed();
    edge.wait_ready();
    (edge, took)
}

/// The fastest of many handshakes. The others include what else the machine was doing.
fn handshake(edge: &Edge, host: &str) -> Duration {
    let hello = edge.hello(host);
    let one = || {
        let begun = Instant::now();
        let _ = hello.certificate();
        begun.elapsed()
    };
    (0..50).map(|_| one()).min().unwrap()
}

#[test]
fn a_thousand_sites_start_and_answer_as_ten_do() {
    let origin = Origin::start("blue");
    let (few, few_took) = start(&origin, 10);
    let (many, many_took) = start(&origin, 1000);
    let (few_memory, many_memory) = (few.memory(), many.memory());
    let (few_shakes, many_shakes) = (handshake(&few, "site9.example"), handshake(&many, "site999.example"));
    eprintln!("start: {few_took:?} with 10, {many_took:?} with 1000");
    eprintln!("memory: {few_memory} MiB with 10, {many_memory} MiB with 1000");
    eprintln!("handshake: {few_shakes:?} with 10, {many_shakes:?} with 1000");
    // A third of a second on a machine that does nothing else.
    assert!(many_took < Duration::from_secs(8), "{many_took:?}");
    assert!(many_memory < few_memory + 48, "{few_memory} and {many_memory} MiB");
    assert!(many_shakes < few_shakes * 2 + Duration::from_millis(2), "{few_shakes:?} and {many_shakes:?}");
}
