//! A small authority, written from RFC 8555, RFC 8737 and RFC 9773, which can be made to misbehave as Pebble can't.
//!
//! `rules` is the protocol, `jose` the signatures, `validate` looks at the daemon as an authority does. The tests of issuance
//! run against this one and Pebble, so that it can't drift away from a real one.

mod jose;
mod rules;
mod validate;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use rustls::{ServerConnection, StreamOwned};
use serde_json::Value;

use super::dns::Dns;
use super::setup::{Place, own_address};
use super::tls::Identity;
use super::wire::Wire;
use rules::State;

/// The names that resolve to the daemon.
const NAMES: [&str; 4] = ["shop.example", "www.shop.example", "one.example", "two.example"];

/// Serves until it is dropped.
pub struct Authority {
    addr: SocketAddr,
    place: Place,
    name: String,
    dns: Dns,
    state: Arc<Mutex<State>>,
}

/// What it does instead of answering.
#[derive(Clone)]
pub enum Instead {
    /// This status with a problem document of this type, and Retry-After.
    Problem(u16, &'static str, Option<String>),
    /// This status, with a body that is not JSON.
    Nonsense(u16),
    /// No answer, ever.
    Silence,
}

/// What the next requests under a path get instead of an answer.
pub struct Mood {
    path: &'static str,
    times: usize,
    instead: Instead,
}

/// One HTTP request.
struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

/// The answer to a request.
struct Reply {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Authority {
    /// Validates where this place's daemon listens.
    pub fn start(place: &Place) -> Self {
        let listener = TcpListener::bind((own_address(), 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let identity = Identity::for_names(&[&addr.ip().to_string()]);
        let name = format!("authority-{}", addr.port());
        fs::write(place.path(&format!("{name}.pem")), &identity.cert_pem).unwrap();
        let state = Arc::new(Mutex::new(State::new(format!("https://{addr}"), place.clone())));
        let (serving, config) = (state.clone(), identity.server_config(&[b"http/1.1"]));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, config) = (serving.clone(), config.clone());
                if state.lock().unwrap().stopped {
                    return;
                }
                let Ok(stream) = stream else { continue };
                thread::spawn(move || {
                    let tls = ServerConnection::new(config).unwrap();
                    serve(&state, Wire::new(StreamOwned::new(tls, stream)));
                });
            }
        });
        let dns = Dns::start();
        if let IpAddr::V4(ip) = place.http.ip() {
            for name in NAMES {
                dns.set(name, &[ip]);
            }
        }
        Self { addr, place: place.clone(), name, dns, state }
    }

    pub fn resolvers(&self) -> String {
        self.dns.resolvers()
    }

    pub fn directory(&self) -> String {
        format!("https://{}/directory", self.addr)
    }

    pub fn section(&self, lines: &str) -> String {
        super::pebble::section(&self.directory(), &self.root_file(), lines)
    }

    /// For `ca_file`.
    pub fn root_file(&self) -> PathBuf {
        self.place.path(&format!("{}.pem", self.name))
    }

    /// A program for `dns_hook` whose records it sees.
    pub fn hook(&self) -> PathBuf {
        hook(self.place.dir())
    }

    /// The next `times` requests under this path get `instead`.
    pub fn mood(&self, path: &'static str, times: usize, instead: Instead) {
        self.state().moods.push_back(Mood { path, times, instead });
    }

    pub fn cheer_up(&self) {
        self.state().moods.clear();
    }

    /// How long certificates are valid: one duration for each in turn, the last one for all that follow.
    pub fn lifetimes(&self, lifetimes: &[Duration]) {
        self.state().lifetimes = lifetimes.to_vec();
    }

    /// Puts the root first, and the certificate behind it.
    pub fn reverses_chains(&self) {
        self.state().is_reversed = true;
    }

    /// Wants a proof for this name, whatever was ordered.
    pub fn misnames(&self, name: &'static str) {
        self.state().misnamed = Some(name);
    }

    /// Offers renewal information: one window for each certificate in turn, in seconds from when it is asked for; the last one
    /// for all that follow.
    pub fn windows(&self, windows: &[(i64, i64)]) {
        self.state().windows = Some(windows.to_vec());
    }

    pub fn profiles(&self, names: &[&str]) {
        self.state().profiles = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// One more key in the directory's `meta`.
    pub fn meta(&self, key: &str, value: Value) {
        self.state().meta.insert(key.to_owned(), value);
    }

    /// Makes its clock so many seconds fast.
    pub fn ahead(&self, seconds: i64) {
        self.state().ahead = Some(seconds);
    }

    /// One more field on every answer.
    pub fn field(&self, name: &'static str, value: &str) {
        self.state().fields.push((name, value.to_owned()));
    }

    /// Validations find nothing.
    pub fn blind(&self, is_blind: bool) {
        self.state().is_blind = is_blind;
    }

    /// Validations of this name find nothing.
    pub fn blind_to(&self, name: &str) {
        self.state().blind_to.push(name.to_owned());
    }

    /// The payload of each new order.
    pub fn orders(&self) -> Vec<Value> {
        self.state().asked.clone()
    }

    pub fn accounts(&self) -> usize {
        self.state().accounts.len()
    }

    /// How many validations have begun.
    pub fn looked(&self) -> usize {
        self.state().looked
    }

    pub fn issued(&self) -> usize {
        self.state().issued.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.state().stopped = true;
        let _ = TcpStream::connect(self.addr);
    }
}

fn serve(state: &Arc<Mutex<State>>, mut wire: Wire) {
    while let Some(head) = wire.head() {
        let Ok((body, _)) = wire.try_body(&head.request_framing()) else { return };
        let request = Request { method: head.word(0).to_owned(), path: head.word(1).to_owned(), body };
        let instead = state.lock().unwrap().mood(&request.path);
        let reply = match instead {
            None => rules::answer(state, &request),
            Some(Instead::Silence) => return thread::sleep(Duration::from_mins(2)),
            Some(Instead::Nonsense(status)) => Reply::new(status, b"<html>".to_vec()),
            Some(Instead::Problem(status, kind, retry_after)) => {
                let reply = Reply::problem(status, kind, "as the test wants it");
                retry_after.into_iter().fold(reply, |reply, after| reply.with("Retry-After", after))
            }
        };
        let fields = state.lock().unwrap().fields.clone();
        let reply = fields.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value));
        let reply = match state.lock().unwrap().ahead {
            Some(seconds) => reply.with("Date", date(seconds)),
            None => reply,
        };
        if wire.try_send(reply.bytes(&request.method, &rules::nonce(state))).is_err() {
            return;
        }
    }
}

fn date(ahead: i64) -> String {
    let now = SystemTime::now();
    let there = Duration::from_secs(ahead.unsigned_abs());
    httpdate::fmt_http_date(if ahead < 0 { now - there } else { now + there })
}

impl Reply {
    fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, fields: Vec::new(), body }
    }

    fn json(status: u16, value: &Value) -> Self {
        Self::new(status, value.to_string().into_bytes())
    }

    fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        Self::json(status, &serde_json::json!({ "type": kind, "detail": detail, "status": status }))
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn bytes(&self, method: &str, nonce: &str) -> Vec<u8> {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let head = format!(
            "HTTP/1.1 {} -\r\nReplay-Nonce: {nonce}\r\n{fields}Content-Length: {}\r\n\r\n",
            self.status,
            self.body.len()
        );
        let body = if method == "HEAD" { &[][..] } else { &self.body };
        [head.as_bytes(), body].concat()
    }
}

impl State {
    fn mood(&mut self, path: &str) -> Option<Instead> {
        let moods: &mut VecDeque<Mood> = &mut self.moods;
        let mood = moods.iter_mut().find(|mood| mood.times > 0 && path.starts_with(mood.path))?;
        mood.times -= 1;
        Some(mood.instead.clone())
    }
}

/// A program that notes its calls.
fn hook(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let hook = folder.join("hook");
    fs::write(&hook, format!("#!/bin/sh\necho \"$1 $2 $3\" >>{}\n", folder.join("hook.log").display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
    hook
}
