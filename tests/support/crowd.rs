//! Clients that ask for `/` again and again, without cookies and whatever comes back: for tests in which requests are to fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::Client;
use super::edge::Edge;

/// The pause between two requests of one client.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks until dropped or [`Crowd::finish`].
pub struct Crowd {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Got>>>,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Got {
    pub at: Instant,
    /// 0: there was no answer, or not a whole one.
    pub status: u16,
    pub text: String,
}

impl Crowd {
    pub fn of(clients: usize, edge: &Edge) -> Self {
        let stop: Arc<AtomicBool> = Arc::default();
        // Each client ends with the crowd, after its last answer.
        let clients = (0..clients).map(|_| client(stop.clone(), edge.http()));
        Self { clients: clients.collect(), stop }
    }

    /// Stops asking; returns all answers, in order of time.
    pub fn finish(mut self) -> Vec<Got> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all: Vec<Got> = self.clients.drain(..).flat_map(|client| client.join().unwrap()).collect();
        all.sort_by_key(|got| got.at);
        all
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn client(stop: Arc<AtomicBool>, to: SocketAddr) -> JoinHandle<Vec<Got>> {
    thread::spawn(move || {
        let mut kept = None;
        let mut all = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let mut client = kept.take().unwrap_or_else(|| Client::connect(to, "plain.test"));
            let at = Instant::now();
            let answer = client.begin("GET", "/", "").try_whole_answer();
            let status = answer.as_ref().map_or(0, |answer| answer.status);
            let text = answer.as_ref().map(super::client::Answer::text).unwrap_or_default();
            if answer.is_some_and(|answer| answer.get("connection") != Some("close")) {
                kept = Some(client);
            }
            all.push(Got { at, status, text });
            thread::sleep(PAUSE);
        }
        all
    })
}
