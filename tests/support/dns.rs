//! A name server on a port of its own, with answers that a test changes as it goes (RFC 1035).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers A and AAAA queries until dropped; every name it doesn't know is NXDOMAIN.
pub struct Dns {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Vec<IpAddr>>,
    fails: bool,
    silent: bool,
    stopped: bool,
    asked: usize,
}

const A: u16 = 1;
const AAAA: u16 = 28;

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
                if !state.silent {
                    let _ = socket.send_to(&state.answer(&query[..length]), from);
                }
            }
        });
        Self { addr, state }
    }

    /// The line of `[server]`.
    pub fn resolvers(&self) -> String {
        format!("resolvers = [\"{}\"]", self.addr)
    }

    /// `name` has these addresses from now on.
    pub fn set<A: Into<IpAddr> + Copy>(&self, name: &str, addresses: &[A]) {
        let addresses = addresses.iter().map(|address| (*address).into()).collect();
        self.state.lock().unwrap().names.insert(name.to_owned(), addresses);
    }

    /// `name` is there and has no address.
    pub fn set_empty(&self, name: &str) {
        self.set::<IpAddr>(name, &[]);
    }

    /// Both change at the same moment.
    pub fn exchange(&self, one: &str, other: &str) {
        let names = &mut self.state.lock().unwrap().names;
        let (of_one, of_other) = (names.remove(one).unwrap(), names.remove(other).unwrap());
        names.insert(one.to_owned(), of_other);
        names.insert(other.to_owned(), of_one);
    }

    /// There is no such name any more.
    pub fn remove(&self, name: &str) {
        self.state.lock().unwrap().names.remove(name);
    }

    /// No answer to anything, or answers again.
    pub fn set_silent(&self, silent: bool) {
        self.state.lock().unwrap().silent = silent;
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
        let is_asked_for = |ip: &&IpAddr| kind == if ip.is_ipv4() { A } else { AAAA };
        let addresses: Vec<IpAddr> =
            known.filter(|_| code == 0).into_iter().flatten().filter(is_asked_for).copied().collect();
        let count = u8::try_from(addresses.len()).unwrap();
        // Header: the query's id; a response, recursion available; one question, the answers.
        let mut out = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
        out.extend_from_slice(&query[12..end + 4]);
        for address in addresses {
            // The name by pointer, the type, class IN, a TTL of one second, the bytes of the address.
            let bytes = match address {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            let [high, low] = kind.to_be_bytes();
            out.extend([0xc0, 12, high, low, 0, 1, 0, 0, 0, 1, 0, u8::try_from(bytes.len()).unwrap()]);
            out.extend(bytes);
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
