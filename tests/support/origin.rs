//! A backend: says its colour, remembers its requests, and does on chosen paths what a test wants.
//!
//! Plain sockets and a thread for each connection. Health probes are answered and not remembered.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::tls::Identity;
use super::wait::{PATIENCE, wait_for};
use super::wire::{Duplex, Head, Wire};

/// A backend on a port of its own until dropped.
pub struct Origin {
    addr: Option<SocketAddr>,
    backend: String,
    state: Arc<State>,
}

/// What becomes of the connection after a handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub head: Head,
    pub body: Vec<u8>,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

type Handler = Arc<dyn Fn(&Head, &mut Wire) -> Then + Send + Sync>;

struct State {
    color: String,
    health: AtomicU16,
    handlers: Mutex<HashMap<String, Handler>>,
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
    sockets: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl Origin {
    pub fn start(color: &str) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), color)
    }

    /// On an address that a test needs to know beforehand.
    pub fn at(addr: SocketAddr, color: &str) -> Self {
        let listener = TcpListener::bind(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
        let addr = listener.local_addr().unwrap();
        let state = State::new(color);
        state.clone().accept_tcp(listener, |stream| Some(Wire::new(stream)));
        Self { addr: Some(addr), backend: addr.to_string(), state }
    }

    /// Speaks TLS as `identity`, HTTP/1.1 inside.
    pub fn start_tls(color: &str, identity: &Identity) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (state, config) = (State::new(color), identity.server_config(&[b"http/1.1"]));
        state.clone().accept_tcp(listener, move |mut stream| {
            let mut tls = rustls::ServerConnection::new(config.clone()).ok()?;
            tls.complete_io(&mut stream).ok()?;
            Some(Wire::new(rustls::StreamOwned::new(tls, stream)))
        });
        Self { addr: Some(addr), backend: format!("https://{addr}"), state }
    }

    pub fn start_unix(color: &str, path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let state = State::new(color);
        let accepting = state.clone();
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = accepting.clone();
                thread::spawn(move || state.serve(Wire::new(stream)));
            }
        });
        Self { addr: None, backend: format!("unix:{}", path.display()), state }
    }

    /// As the config names it.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr.expect("a TCP address")
    }

    /// Sets what happens on one path, whatever its query, instead of saying the colour.
    pub fn on(&self, path: &str, handler: impl Fn(&Head, &mut Wire) -> Then + Send + Sync + 'static) -> &Self {
        self.state.handlers.lock().unwrap().insert(path.to_owned(), Arc::new(handler));
        self
    }

    /// Answers this raw text on one path.
    pub fn answers(&self, path: &str, raw: &'static str) -> &Self {
        self.on(path, move |head, wire| {
            wire.body(&head.request_framing());
            wire.send(raw);
            Then::Keep
        })
    }

    /// Connections accepted so far, those of probes too.
    pub fn accepted(&self) -> usize {
        self.state.sockets.lock().unwrap().len()
    }

    /// The status that probes get from now on.
    pub fn set_health(&self, status: u16) {
        self.state.health.store(status, Ordering::SeqCst);
    }

    /// Every request so far, probes apart.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The latest request for `path`, waited for.
    pub fn saw(&self, path: &str) -> Seen {
        wait_for(&format!("a request for {path}"), || {
            self.seen().into_iter().rev().find(|seen| seen.head.word(1).split('?').next() == Some(path))
        })
    }

    pub fn count(&self, path: &str) -> usize {
        self.seen().iter().filter(|seen| seen.head.word(1).split('?').next() == Some(path)).count()
    }

    /// Closes every connection there is, the idle ones of the daemon's pool too.
    pub fn close_connections(&self) {
        for socket in self.state.sockets.lock().unwrap().drain(..) {
            socket.cut_now();
        }
    }

    /// Takes the backend away: connections are closed, the port refuses.
    pub fn stop(&self) {
        if self.state.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        match self.addr {
            // Each attempt wakes what accepts; once that has ended, the port refuses, unless another test has got it meanwhile.
            Some(addr) => {
                let until = Instant::now() + Duration::from_secs(1);
                while TcpStream::connect(addr).is_ok() && Instant::now() < until {}
            }
            None => {
                let _ = std::os::unix::net::UnixStream::connect(self.backend.trim_start_matches("unix:"));
            }
        }
        self.close_connections();
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

trait CutNow {
    fn cut_now(self);
}

impl CutNow for TcpStream {
    fn cut_now(mut self) {
        self.cut();
    }
}

impl State {
    fn new(color: &str) -> Arc<Self> {
        Arc::new(Self {
            color: color.to_owned(),
            health: AtomicU16::new(200),
            handlers: Mutex::default(),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            sockets: Mutex::default(),
            stopped: AtomicBool::new(false),
        })
    }

    fn accept_tcp(
        self: Arc<Self>,
        listener: TcpListener,
        wrap: impl Fn(TcpStream) -> Option<Wire> + Send + Sync + 'static,
    ) {
        let wrap = Arc::new(wrap);
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if self.stopped.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_nodelay(true).unwrap();
                self.sockets.lock().unwrap().push(stream.try_clone().unwrap());
                let (state, wrap) = (self.clone(), wrap.clone());
                thread::spawn(move || {
                    if let Some(wire) = wrap(stream) {
                        state.serve(wire);
                    }
                });
            }
        });
    }

    fn serve(&self, mut wire: Wire) {
        // A connection that idles in a pool does not fail the test.
        wire.patience(PATIENCE * 6);
        let mut number = None;
        while let Some(head) = wire.head() {
            let path = head.word(1).split('?').next().unwrap_or_default().to_owned();
            if path.starts_with("/health/") {
                let status = self.health.load(Ordering::SeqCst);
                wire.send(format!("HTTP/1.1 {status} Probed\r\nContent-Length: 0\r\n\r\n"));
                continue;
            }
            let connection = *number.get_or_insert_with(|| self.connections.fetch_add(1, Ordering::SeqCst));
            let index = {
                let mut seen = self.seen.lock().unwrap();
                seen.push(Seen { head: head.clone(), body: Vec::new(), connection });
                seen.len() - 1
            };
            let handler = self.handlers.lock().unwrap().get(&path).cloned();
            let then = match handler {
                Some(handler) => handler(&head, &mut wire),
                None => self.say_color(&head, &mut wire, index),
            };
            if then == Then::Close {
                break;
            }
        }
        wire.cut();
    }

    /// The default: the colour, or under `/echo` the request's body.
    fn say_color(&self, head: &Head, wire: &mut Wire, index: usize) -> Then {
        let Ok((body, _)) = wire.try_body(&head.request_framing()) else { return Then::Close };
        let echo = head.word(1).starts_with("/echo");
        let said = if echo { body.clone() } else { self.color.clone().into_bytes() };
        self.seen.lock().unwrap()[index].body = body;
        let length = said.len();
        let head_only = head.word(0) == "HEAD";
        let head = format!("HTTP/1.1 200 OK\r\nX-Color: {}\r\nContent-Length: {length}\r\n\r\n", self.color);
        // In one write, so that a backend that is stopped has answered whole or not at all.
        let mut answer = head.into_bytes();
        if !head_only {
            answer.extend(said);
        }
        wire.send(answer);
        Then::Keep
    }
}
