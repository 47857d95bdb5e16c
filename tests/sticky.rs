//! With `sticky = "cookie"` a client stays with its backend while that backend serves.

use std::collections::HashSet;

use crate::support::load::echo;
use crate::support::{Answer, Client, Edge, Origin, Setup, serves_load, wait_until};

fn start(backends: &[&Origin]) -> Edge {
    let backends: Vec<&str> = backends.iter().map(|origin| origin.backend()).collect();
    Setup::pool(&backends).service("sticky = \"cookie\"\nbalance = \"round-robin\"").start()
}

fn with(mut client: Client, path: &str, cookie: &str) -> Answer {
    client.ask("GET", path, &format!("Cookie: a=1; {cookie}\r\n"), "")
}

/// `name=value` of the cookie that an answer sets.
fn cookie_of(answer: &Answer) -> String {
    let all = answer.head.all("set-cookie");
    let ours =
        all.iter().find(|set| set.starts_with("edge_sticky_app=")).unwrap_or_else(|| panic!("{:?}", answer.head));
    ours.split(';').next().unwrap().to_owned()
}

/// The cookie of a client that the backend `color` has answered.
fn client_of(edge: &Edge, color: &str) -> String {
    let mut found = None;
    wait_until(&format!("an answer of {color}"), || {
        let answer = edge.get("/");
        found = (answer.text() == color).then(|| cookie_of(&answer));
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn a_client_stays_with_its_backend() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    for origin in [&one, &two] {
        origin.answers("/own", "HTTP/1.1 200 OK\r\nSet-Cookie: sid=1; Path=/\r\nContent-Length: 0\r\n\r\n");
    }
    let edge = start(&[&one, &two]);
    let first = edge.get("/own");
    let set = first.head.all("set-cookie");
    assert_eq!((set.len(), set[0]), (2, "sid=1; Path=/"), "the backend's own cookie is kept");
    assert!(set[1].ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set:?}");
    let secure = edge.tls("app.test").get("/");
    assert!(secure.get("set-cookie").unwrap().ends_with("; HttpOnly; SameSite=Lax; Secure"), "{:?}", secure.head);
    let cookies = ["one", "two"].map(|color| (color, client_of(&edge, color)));
    assert_ne!(cookies[0].1, cookies[1].1);
    for _ in 0..5 {
        for (color, cookie) in &cookies {
            let answer = with(edge.plain(), "/stays", cookie);
            assert_eq!((answer.text().as_str(), answer.get("set-cookie")), (*color, None));
        }
    }
    assert_eq!(one.saw("/stays").head.get("cookie"), Some("a=1"), "our cookie does not reach the backend");
    let address = one.backend();
    assert!(!cookies[0].1.contains(address), "the address is not in the cookie");
}

#[test]
fn a_backend_that_is_gone_is_replaced_at_once_and_for_good() {
    let (one, two, three) = (Origin::start("one"), Origin::start("two"), Origin::start("three"));
    let edge = start(&[&one, &two, &three]);
    let cookie = client_of(&edge, "one");
    one.stop();
    let moved = with(edge.plain(), "/", &cookie);
    assert_eq!(moved.status, 200, "{:?}", moved.head);
    let (now, next) = (moved.text(), cookie_of(&moved));
    assert_ne!(next, cookie);
    for _ in 0..4 {
        let answer = with(edge.plain(), "/", &next);
        assert_eq!((answer.text(), answer.get("set-cookie")), (now.clone(), None));
    }
}

#[test]
fn the_cookie_survives_a_restart() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let mut edge = start(&[&one, &two]);
    let cookie = client_of(&edge, "two");
    edge.terminate();
    edge.start_again();
    for _ in 0..4 {
        let answer = with(edge.plain(), "/", &cookie);
        assert_eq!((answer.text().as_str(), answer.get("set-cookie")), ("two", None));
    }
}

#[test]
fn a_forged_cookie_is_ignored() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let edge = start(&[&one, &two]);
    let answers: Vec<Answer> = (0..4).map(|_| with(edge.plain(), "/", "edge_sticky_app=00ff")).collect();
    let seen: HashSet<String> = answers.iter().map(Answer::text).collect();
    assert_eq!(seen.len(), 2, "balanced like any other client");
    assert!(answers.iter().all(|answer| answer.get("set-cookie").is_some()));
}

#[test]
fn a_switch_moves_the_client_and_websockets_get_the_cookie_too() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    serves_load(&blue, "blue");
    serves_load(&green, "green");
    let edge = Setup::colors(&blue, &green).service("sticky = \"cookie\"").start();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut client = edge.plain();
    client.begin("GET", "/ws", upgrade);
    let head = client.head().unwrap();
    let cookie = head.get("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!((head.word(1), head.get("x-color")), ("101", Some("blue")));
    echo(&mut client, "hello").unwrap();
    assert_eq!(with(edge.plain(), "/", &cookie).get("set-cookie"), None);
    edge.admin(&["switch", "green", "--force", "--no-wait"]).ok();
    let moved = with(edge.plain(), "/", &cookie);
    assert_eq!(moved.text(), "green");
    assert_eq!(with(edge.plain(), "/", &cookie_of(&moved)).get("set-cookie"), None);
    let off = Setup::colors(&blue, &green).start();
    assert_eq!(off.get("/").get("set-cookie"), None, "without sticky no cookie is set");
}
