//! A name server on a port of its own, with answers that a test changes as it goes (RFC 1035).

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers A queries until dropped; every name it doesn't know is NXDOMAIN.
pub struct Dns {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Vec<Ipv4Addr>>,
    fails: bool,
    stopped: bool,
    asked: usize,
}

const A: u16 = 1;

impl Dns {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let answering = state.clone();
        thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let mut state = answering.lock().unwrap();
                if state.stopped {
                    return;
                }
                state.asked += 1;
                let _ = socket.send_to(&state.answer(&query[..length]), from);
            }
        });
        Self { addr, state }
    }

    /// The line of `[server]`.
    pub fn resolvers(&self) -> String {
        format!("resolvers = [\"{}\"]", self.addr)
    }

    /// `name` has these addresses from now on.
    pub fn set(&self, name: &str, addresses: &[Ipv4Addr]) {
        self.state.lock().unwrap().names.insert(name.to_owned(), addresses.to_vec());
    }

    /// SERVFAIL to everything, or no more.
    pub fn set_failing(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
    }

    /// Queries so far.
    pub fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.state.lock().unwrap().stopped = true;
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"stop", self.addr));
    }
}

impl State {
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        const SERVFAIL: u8 = 2;
        const NXDOMAIN: u8 = 3;
        let (name, end) = question(query);
        let kind = u16::from_be_bytes([query[end], query[end + 1]]);
        let known = self.names.get(&name);
        let code = if self.fails { SERVFAIL } else { known.map_or(NXDOMAIN, |_| 0) };
        let addresses = known.filter(|_| code == 0 && kind == A).cloned().unwrap_or_default();
        let count = u8::try_from(addresses.len()).unwrap();
        // Header: the query's id; a response, recursion available; one question, the answers.
        let mut out = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
        out.extend_from_slice(&query[12..end + 4]);
        for address in addresses {
            // The name by pointer, type A, class IN, a TTL of one second, four bytes.
            out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            out.extend(address.octets());
        }
        out
    }
}

/// The name asked for, and where its labels end.
fn question(query: &[u8]) -> (String, usize) {
    let (mut labels, mut at) = (Vec::new(), 12);
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..=at + length]).to_ascii_lowercase());
        at += length + 1;
    }
    (labels.join("."), at + 1)
}
