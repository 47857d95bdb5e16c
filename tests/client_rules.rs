//! A changed file of roots is a changed rule: it is reported, what runs finishes, and nobody goes on under the old one.

use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};

use crate::support::frames::{closing, frame};
use crate::support::h2::H2;
use crate::support::tls::Hello;
use crate::support::{Client, Edge, Identity, Origin, Root, Setup, Signal, Then, seconds, wait_for, wait_until};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// `one.test` lets in the clients of two authorities: alice by the first, bob by the second.
struct Stage {
    origin: Origin,
    edge: Edge,
    first: Root,
    second: Root,
    alice: Identity,
    bob: Identity,
}

impl Stage {
    fn start() -> Self {
        Self::with_mode("require")
    }

    fn with_mode(mode: &str) -> Self {
        let origin = Origin::start("blue");
        let (first, second) = (Root::named("First CA"), Root::named("Second CA"));
        let (alice, bob) = (first.client("alice", |_| ()), second.client("bob", |_| ()));
        let setup = Setup::to(&origin).switch("drain = \"1s\"");
        let ca = setup.path("ca.pem");
        fs::write(&ca, format!("{}{}", first.pem, second.pem)).unwrap();
        let site = format!("[[site]]\nhosts = [\"one.test\"]\nservice = \"app\"\nclient_ca = \"{}\"\n", ca.display());
        let edge = setup.and(&format!("{site}client_auth = \"{mode}\"\n")).start();
        Self { origin, edge, first, second, alice, bob }
    }

    fn hello(&self, who: &Identity) -> Hello {
        self.edge.hello("one.test").showing(who)
    }

    fn connect(&self, who: &Identity) -> Client {
        let mut client = self.hello(who).connect().unwrap();
        assert_eq!(client.get("/").status, 200);
        client
    }

    /// Takes the first authority out of the file.
    fn revoke(&self) {
        fs::write(self.edge.path("ca.pem"), &self.second.pem).unwrap();
    }

    fn reload(&self) -> String {
        self.edge.admin(&["reload"]).ok().stdout
    }
}

fn is_turned_away(client: &mut Client) {
    let answer = client.get("/");
    assert_eq!(answer.status, 421, "{answer:?}");
    assert_eq!(answer.get("connection"), Some("close"), "{answer:?}");
    assert!(client.closes_within(seconds(5)));
}

#[test]
fn a_root_that_is_taken_out_is_reported_and_ends_what_it_vouched_for() {
    let stage = Stage::start();
    let (mut alice, mut bob) = (stage.connect(&stage.alice), stage.connect(&stage.bob));
    let mut alice2 = H2::connect(&stage.hello(&stage.alice));
    let mut bob2 = H2::connect(&stage.hello(&stage.bob));
    assert_eq!((alice2.get("/").status, bob2.get("/").status), (200, 200));
    stage.revoke();
    let report = stage.reload();
    let line = format!("client_ca {} changed: 1 root (1 taken out, 0 new)", stage.edge.path("ca.pem").display());
    assert!(report.contains(&line), "{report}");
    assert!(!report.contains("nothing changed"), "{report}");
    is_turned_away(&mut alice);
    assert_eq!(alice2.get("/").status, 421);
    wait_until("GOAWAY", || alice2.is_closed());
    assert!(stage.hello(&stage.alice).status("one.test", "/").is_none(), "nor is she let in again");
    for _ in 0..3 {
        assert_eq!(bob.get("/").status, 200, "his root is still there");
        assert_eq!(bob2.get("/").status, 200);
    }
    assert!(!bob2.is_closed());
    assert_eq!(stage.edge.tls("app.test").get("/").status, 200);
    assert!(stage.reload().contains("nothing changed"), "it is told once");
    let find = || stage.edge.access_log().into_iter().find(|line| line["status"] == 421);
    assert_eq!(wait_for("the line", find)["error"], "client_rules_changed");
}

#[test]
fn a_change_that_the_watch_has_taken_up_is_told_to_the_reload_that_comes_after_it() {
    let stage = Stage::start();
    let mut alice = stage.connect(&stage.alice);
    stage.revoke();
    stage.edge.said("certificates taken up");
    assert!(stage.edge.stderr().contains("changed: 1 root (1 taken out, 0 new)"), "{}", stage.edge.stderr());
    let report = stage.reload();
    assert!(report.contains("client_ca") && report.contains("taken up at"), "{report}");
    assert!(!report.contains("nothing changed"), "{report}");
    assert!(stage.reload().contains("nothing changed"));
    is_turned_away(&mut alice);
}

#[test]
fn a_signal_and_a_reload_that_fails_take_a_root_out_too() {
    let stage = Stage::start();
    let mut alice = stage.connect(&stage.alice);
    stage.revoke();
    stage.edge.signal(Signal::HUP);
    stage.edge.said("config reloaded");
    assert!(!stage.edge.stderr().contains("nothing changed"), "{}", stage.edge.stderr());
    is_turned_away(&mut alice);
    let mut bob = stage.connect(&stage.bob);
    let text = fs::read_to_string(stage.edge.path("edge.toml")).unwrap();
    fs::write(stage.edge.path("ca.pem"), &stage.first.pem).unwrap();
    stage.edge.rewrite(&format!("{text}\nnonsense"));
    assert_eq!(stage.edge.admin(&["reload"]).code, Some(2));
    is_turned_away(&mut bob);
    stage.connect(&stage.alice);
}

#[test]
fn comments_and_the_order_of_roots_change_no_rule() {
    let stage = Stage::start();
    let hello = stage.hello(&stage.alice).resuming();
    let resumed = || hello.ask("GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n").unwrap().1.resumed;
    assert!(!resumed());
    let mut alice = stage.connect(&stage.alice);
    fs::write(stage.edge.path("ca.pem"), format!("# ours\n{}{}", stage.second.pem, stage.first.pem)).unwrap();
    let report = stage.reload();
    assert!(report.contains("ca.pem changed") && !report.contains("root"), "{report}");
    assert_eq!(alice.get("/").status, 200);
    assert!(resumed());
}

#[test]
fn another_file_with_the_same_root_changes_nothing_for_its_clients() {
    let stage = Stage::start();
    let (mut alice, mut bob) = (stage.connect(&stage.alice), stage.connect(&stage.bob));
    let text = fs::read_to_string(stage.edge.path("edge.toml")).unwrap();
    fs::write(stage.edge.path("next.pem"), &stage.second.pem).unwrap();
    stage.edge.rewrite(&text.replace("ca.pem", "next.pem"));
    stage.reload();
    assert_eq!(bob.get("/").status, 200);
    is_turned_away(&mut alice);
}

#[test]
fn what_runs_finishes() {
    let stage = Stage::start();
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    stage.origin.on("/slow", move |_, wire| {
        let _ = held.lock().unwrap().recv_timeout(seconds(10));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        Then::Keep
    });
    let mut alice = stage.connect(&stage.alice);
    alice.begin("GET", "/slow", "");
    stage.origin.saw("/slow");
    stage.revoke();
    stage.reload();
    // Longer than the drain: a request is not cut.
    std::thread::sleep(Duration::from_secs(4));
    release.send(()).unwrap();
    let answer = alice.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    is_turned_away(&mut alice);
}

/// Event streams on `/events`, answers without a length on `/flow`, WebSockets on `/ws`: all silent once they have begun.
fn endless(origin: &Origin) -> Arc<Mutex<Vec<Sender<()>>>> {
    let ends: Arc<Mutex<Vec<Sender<()>>>> = Arc::default();
    for (path, begins) in [
        ("/events", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n".to_owned()),
        ("/flow", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n".to_owned()),
        ("/ws", format!("{SWITCH}\u{1}\u{7}welcome")),
    ] {
        let ends = ends.clone();
        origin.on(path, move |_, wire| {
            wire.send(&begins);
            let (end, ended) = channel();
            ends.lock().unwrap().push(end);
            let _ = ended.recv_timeout(seconds(30));
            Then::Close
        });
    }
    ends
}

fn stream(mut client: Client, path: &str) -> Client {
    client.begin("GET", path, if path == "/ws" { UPGRADE } else { "" });
    let head = client.head().expect("an answer");
    match path {
        "/ws" => assert_eq!(frame(&mut client).unwrap(), (1, false, b"welcome".to_vec())),
        _ => assert!(!client.chunk().unwrap().is_empty(), "{head:?}"),
    }
    client
}

#[test]
fn streams_and_websockets_end_after_the_drain_and_those_of_others_go_on() {
    let stage = Stage::start();
    let _ends = endless(&stage.origin);
    let ours = ["/ws", "/events", "/flow"].map(|path| stream(stage.connect(&stage.alice), path));
    let theirs = ["/ws", "/events", "/flow"].map(|path| stream(stage.connect(&stage.bob), path));
    let mut alice2 = H2::connect(&stage.hello(&stage.alice));
    let (answer, _) = alice2.begin(alice2.request("GET", "/events"), true).unwrap();
    let mut events = alice2.run(answer).unwrap().into_body();
    assert!(alice2.run(events.data()).unwrap().is_ok());
    let revoked = Instant::now();
    stage.revoke();
    stage.reload();
    let [mut socket, mut events1, mut flow] = ours;
    assert_eq!(frame(&mut socket).unwrap(), (0x88, false, closing(1008, "client certificate not accepted any more")));
    assert!(revoked.elapsed() >= seconds(1), "before the drain is over: {:?}", revoked.elapsed());
    assert!(events1.closes_within(seconds(5)) && flow.closes_within(seconds(5)));
    assert!(alice2.run(events.data()).is_none_or(|next| next.is_err()), "over HTTP/2 too");
    assert!(revoked.elapsed() < seconds(6), "{:?}", revoked.elapsed());
    let [mut socket, mut events, mut flow] = theirs;
    for other in [&mut socket, &mut events, &mut flow] {
        assert!(!other.closes_within(Duration::from_millis(500)), "bob's");
    }
    let line = stage.edge.logged_path("/ws");
    assert_eq!((&line["error"], &line["status"]), (&"client_rules_changed".into(), &101.into()), "{line}");
}

#[test]
fn a_stream_that_began_while_nothing_was_asked_ends_too() {
    let origin = Origin::start("blue");
    let _ends = endless(&origin);
    let setup = Setup::to(&origin).switch("drain = \"200ms\"");
    let ca = setup.path("ca.pem");
    let root = Root::named("First CA");
    fs::write(&ca, &root.pem).unwrap();
    let text = setup.text();
    let edge = setup.start();
    let mut socket = stream(edge.tls("app.test"), "/ws");
    let mut plain = stream(edge.plain(), "/ws");
    let mut idle = edge.tls("app.test");
    assert_eq!(idle.get("/").status, 200);
    edge.rewrite(&format!("{text}[tls]\nclient_ca = \"{}\"\n", ca.display()));
    edge.admin(&["reload"]).ok();
    is_turned_away(&mut idle);
    assert_eq!(frame(&mut socket).unwrap().0, 0x88);
    assert!(!plain.closes_within(Duration::from_millis(500)), "of a site without TLS");
}

#[test]
fn a_root_that_comes_back_in_time_ends_nothing() {
    let stage = Stage::start();
    let _ends = endless(&stage.origin);
    let mut alice = stage.connect(&stage.alice);
    let mut socket = stream(stage.connect(&stage.alice), "/ws");
    stage.revoke();
    stage.reload();
    fs::write(stage.edge.path("ca.pem"), &stage.first.pem).unwrap();
    assert!(stage.reload().contains("1 root (1 taken out, 1 new)"));
    assert_eq!(alice.get("/").status, 200, "nothing was asked meanwhile");
    assert!(!socket.closes_within(seconds(4)));
}

#[test]
fn a_client_without_a_certificate_is_not_asked_for_one_by_other_roots() {
    let stage = Stage::with_mode("request");
    let mut nobody = stage.edge.hello("one.test").connect().unwrap();
    assert_eq!(nobody.get("/").status, 200);
    let mut alice = stage.connect(&stage.alice);
    stage.revoke();
    stage.reload();
    assert_eq!(nobody.get("/").status, 200);
    is_turned_away(&mut alice);
}

#[test]
fn no_ticket_brings_a_revoked_client_back() {
    for version in [&TLS12, &TLS13] {
        let stage = Stage::start();
        let alice = stage.hello(&stage.alice).version(version).resuming();
        let bob = stage.hello(&stage.bob).version(version).resuming();
        let ask = |hello: &Hello| hello.ask("GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n");
        for hello in [&alice, &bob] {
            assert!(!ask(hello).unwrap().1.resumed);
            assert!(ask(hello).unwrap().1.resumed, "tickets work at all");
        }
        // A ticket that was given on a connection which is still open.
        let mut open = alice.connect().unwrap();
        assert_eq!(open.get("/").status, 200);
        stage.revoke();
        stage.reload();
        assert!(ask(&alice).is_err(), "{version:?}");
        let (answer, shaken) = ask(&bob).unwrap();
        assert_eq!((answer.status, shaken.resumed), (200, false), "{version:?}: a whole handshake");
        assert!(ask(&bob).unwrap().1.resumed);
        assert_eq!(open.get("/").status, 421);
        assert!(ask(&alice).is_err(), "{version:?}: nor with a ticket of the connection that was turned away");
    }
}

#[test]
fn hundreds_of_websockets_are_ended_one_after_another_and_nobody_waits_meanwhile() {
    const MANY: usize = 300;
    let stage = Stage::start();
    let _ends = endless(&stage.origin);
    let sockets: Vec<Client> = (0..MANY).map(|_| stream(stage.connect(&stage.alice), "/ws")).collect();
    let mut bystander = stage.edge.tls("app.test");
    assert_eq!(bystander.get("/").status, 200);
    stage.revoke();
    stage.reload();
    let ending = std::thread::spawn(move || {
        for mut socket in sockets {
            assert_eq!(frame(&mut socket).unwrap().0, 0x88);
        }
    });
    let mut slowest = Duration::ZERO;
    while !ending.is_finished() {
        let asked = Instant::now();
        assert_eq!(bystander.get("/").status, 200);
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(5));
    }
    ending.join().unwrap();
    assert!(slowest < seconds(1), "{slowest:?}");
    let ends = || stage.edge.access_log().into_iter().filter(|line| line["path"] == "/ws").collect::<Vec<_>>();
    wait_until("the lines of all", || ends().len() == MANY);
    let times: std::collections::BTreeSet<String> =
        ends().iter().map(|line| line["time"].as_str().unwrap()[..21].to_owned()).collect();
    assert!(times.len() > 5, "all at once: {times:?}");
}
