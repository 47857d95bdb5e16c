//! Mixed traffic that runs while a test changes something under it, and the account of it afterwards.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::{Answer, Client};
use super::edge::Edge;
use super::h2::H2;
use super::origin::{Origin, Then};
use super::tls::Hello;
use super::wait::wait_until;

/// The pause between two exchanges of one client: this is load, not a test of how fast a debug build is.
const PAUSE: Duration = Duration::from_millis(2);

/// A download comes in parts, this far apart.
const PART_PAUSE: Duration = Duration::from_millis(20);
const PART: usize = 16 << 10;
const PARTS: usize = 30;

pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// One client of each kind (GET over h1 with TLS and over h2, POST, downloads, short WebSockets and one that stays open),
/// each asking again and again until [`Load::finish`].
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    account: Mutex<Account>,
}

/// The result of the load.
#[derive(Default)]
pub struct Account {
    pub done: Vec<Done>,
    /// What went wrong, kind first.
    pub lost: Vec<String>,
}

/// One exchange that ended well.
#[derive(Debug, Clone)]
pub struct Done {
    pub kind: &'static str,
    pub started: Instant,
    pub color: String,
}

/// A colour that began to serve at some moment between the two times.
#[derive(Debug, Clone)]
pub struct Turn {
    pub begun: Instant,
    pub returned: Instant,
    pub color: String,
}

/// Two colours that the load can run against.
pub fn colors() -> (Origin, Origin) {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    serves_load(&blue, "blue");
    serves_load(&green, "green");
    (blue, green)
}

/// Makes a backend serve what the load asks for: `/ws` echoes, `/download` is long and slow.
pub fn serves_load(origin: &Origin, color: &'static str) {
    origin.on("/ws", move |_, wire| {
        wire.send(format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Color: {color}\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        ));
        while let Ok(said) = wire.some() {
            if said.is_empty() {
                break;
            }
            wire.send(said);
        }
        Then::Close
    });
    origin.on("/download", move |_, wire| {
        wire.send(format!("HTTP/1.1 200 OK\r\nX-Color: {color}\r\nContent-Length: {}\r\n\r\n", PART * PARTS));
        let part = vec![color.as_bytes()[0]; PART];
        for _ in 0..PARTS {
            if wire.try_send(&part).is_err() {
                return Then::Close;
            }
            thread::sleep(PART_PAUSE);
        }
        Then::Keep
    });
}

impl Load {
    /// Starts it and waits until every kind has been served.
    pub fn start(edge: &Edge) -> Self {
        let shared = Arc::new(Shared::default());
        let hello = || edge.hello("app.test");
        let clients = vec![
            get_h1(&shared, hello()),
            get_h2(&shared, hello()),
            post(&shared, hello()),
            downloads(&shared, hello()),
            websockets(&shared, edge.http(), "websocket", 10),
            websockets(&shared, edge.http(), "kept websocket", usize::MAX),
        ];
        let load = Self { shared, clients };
        load.runs_on();
        load
    }

    /// Waits until every kind has been served again; exchanges that began before this call do not count.
    pub fn runs_on(&self) {
        let since = Instant::now();
        let before = self.shared.account.lock().unwrap().done.len();
        wait_until("the load to be served", || {
            let account = self.shared.account.lock().unwrap();
            assert!(account.lost.is_empty(), "lost: {:#?}", account.lost);
            let anew = account.done[before..].iter().filter(|done| done.started > since);
            let kinds: BTreeSet<&str> = anew.map(|done| done.kind).collect();
            kinds.len() == self.clients.len()
        });
    }

    /// Stops it, lets what runs end, and answers with the account. Nothing may be lost.
    pub fn finish(self) -> Account {
        self.shared.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().expect("a client of the load");
        }
        let account = std::mem::take(&mut *self.shared.account.lock().unwrap());
        assert!(account.lost.is_empty(), "{} lost of {}: {:#?}", account.lost.len(), account.done.len(), account.lost);
        account
    }
}

impl Account {
    /// Every exchange that began after one turn had returned and before the next had begun was answered by its colour.
    pub fn assert_follows(&self, turns: &[Turn]) {
        let mut judged = 0;
        // A message on an open WebSocket goes to the colour of the WebSocket.
        for done in self.done.iter().filter(|done| done.kind != "kept websocket") {
            let Some(turn) = turns.iter().rev().find(|turn| turn.begun <= done.started) else { continue };
            if done.started < turn.returned {
                continue;
            }
            judged += 1;
            let late = done.started - turn.returned;
            assert_eq!(done.color, turn.color, "{done:?}, begun {late:?} after the command had returned");
        }
        assert!(judged > 0, "no exchange between the turns");
    }
}

impl Shared {
    fn runs(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn took(&self, kind: &'static str, started: Instant, result: Result<String, String>) -> bool {
        let mut account = self.account.lock().unwrap();
        match result {
            Ok(color) => account.done.push(Done { kind, started, color }),
            Err(why) => {
                account.lost.push(format!("{kind}: {why}"));
                return false;
            }
        }
        true
    }
}

/// A thread that does `exchange` until the load ends or an exchange is lost. It ends with the load.
fn client(
    shared: &Arc<Shared>,
    kind: &'static str,
    mut exchange: impl FnMut() -> Result<String, String> + Send + 'static,
) -> JoinHandle<()> {
    let shared = shared.clone();
    thread::spawn(move || {
        while shared.runs() {
            let started = Instant::now();
            if !shared.took(kind, started, exchange()) {
                return;
            }
            thread::sleep(PAUSE);
        }
    })
}

fn get_h1(shared: &Arc<Shared>, hello: Hello) -> JoinHandle<()> {
    let mut kept = None;
    client(shared, "h1 GET", move || {
        let answer = over(&mut kept, &hello, |client| client.begin("GET", "/", ""))?;
        if answer.body == color_of(&answer)?.as_bytes() { color_of(&answer) } else { Err(format!("{answer:?}")) }
    })
}

fn get_h2(shared: &Arc<Shared>, hello: Hello) -> JoinHandle<()> {
    let mut client_h2 = H2::connect(&hello);
    client(shared, "h2 GET", move || {
        let request = client_h2.request("GET", "/");
        let answer = client_h2.ask(request, b"", None).map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(answer.text()) } else { Err(format!("{answer:?}")) }
    })
}

fn post(shared: &Arc<Shared>, hello: Hello) -> JoinHandle<()> {
    let mut kept = None;
    let body = "0123456789abcdef".repeat(2048);
    client(shared, "POST", move || {
        let head = format!("Content-Length: {}\r\n", body.len());
        let answer = over(&mut kept, &hello, |client| {
            client.begin("POST", "/echo", &head);
            client.send(&body);
            client
        })?;
        if answer.body == body.as_bytes() { color_of(&answer) } else { Err(format!("changed: {:?}", answer.head)) }
    })
}

fn downloads(shared: &Arc<Shared>, hello: Hello) -> JoinHandle<()> {
    let mut kept = None;
    client(shared, "download", move || {
        let answer = over(&mut kept, &hello, |client| client.begin("GET", "/download", ""))?;
        let color = color_of(&answer)?;
        let whole = answer.body.len() == PART * PARTS && answer.body.iter().all(|byte| *byte == color.as_bytes()[0]);
        if whole { Ok(color) } else { Err(format!("{} bytes of {}", answer.body.len(), PART * PARTS)) }
    })
}

/// WebSockets with `messages` messages each. If one stays open, every message counts as an exchange.
fn websockets(shared: &Arc<Shared>, to: SocketAddr, kind: &'static str, messages: usize) -> JoinHandle<()> {
    let mut open: Option<(Client, String)> = None;
    let keeps = messages == usize::MAX;
    client(shared, kind, move || {
        if open.is_none() {
            open = Some(open_websocket(to).map_err(|error| error.to_string())?);
        }
        let Some((websocket, color)) = &mut open else { unreachable!() };
        for number in 0..if keeps { 1 } else { messages } {
            echo(websocket, &format!("message {number}")).map_err(|error| format!("message {number}: {error}"))?;
            thread::sleep(PAUSE);
        }
        let color = color.clone();
        if !keeps {
            open = None;
        }
        Ok(color)
    })
}

/// A WebSocket on `plain.test` and the colour of its backend.
pub fn open_websocket(to: SocketAddr) -> io::Result<(Client, String)> {
    let mut client = Client::connect(to, "plain.test");
    client.begin("GET", "/ws", UPGRADE);
    let head = client.head().ok_or(io::ErrorKind::UnexpectedEof)?;
    match (head.word(1), head.get("x-color")) {
        ("101", Some(color)) => Ok((client, color.to_owned())),
        _ => Err(io::Error::other(format!("{head:?}"))),
    }
}

/// A message and its echo.
pub fn echo(websocket: &mut Client, text: &str) -> io::Result<()> {
    websocket.try_send(text)?;
    let heard = websocket.exactly(text.len())?;
    if heard == text.as_bytes() { Ok(()) } else { Err(io::Error::other(format!("heard {heard:?}"))) }
}

/// One exchange on a kept connection; a new one when the daemon has said that it closes it.
fn over(
    kept: &mut Option<Client>,
    hello: &Hello,
    ask: impl FnOnce(&mut Client) -> &mut Client,
) -> Result<Answer, String> {
    if kept.is_none() {
        *kept = Some(hello.connect().map_err(|error| format!("connecting: {error}"))?);
    }
    let Some(client) = kept else { unreachable!() };
    ask(client);
    let head = client.head().ok_or("closed without an answer")?;
    let body = client.try_body(&head.answer_framing("GET"));
    let (body, trailers) = body.map_err(|error| format!("the body broke off: {error}"))?;
    let answer = Answer { status: head.word(1).parse().unwrap_or(0), head, body, trailers };
    if answer.get("connection") == Some("close") {
        *kept = None;
    }
    if answer.status == 200 { Ok(answer) } else { Err(format!("{} {}", answer.status, answer.text())) }
}

fn color_of(answer: &Answer) -> Result<String, String> {
    answer.get("x-color").map(str::to_owned).ok_or_else(|| format!("no colour in {:?}", answer.head))
}
