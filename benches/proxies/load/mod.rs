//! The load generator: lanes that ask and check, one request in flight on each.
//!
//! Every answer is checked for its status and the length of its body; the first that is wrong ends the run. Nothing is
//! retried, so a lost exchange can't hide in a figure.

pub mod h1;
pub mod h2;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::cells::{Door, Page};

/// Lanes of h1: one connection each.
pub const H1_CONNECTIONS: usize = 32;
/// Lanes of h2: `H2_STREAMS` on each connection.
pub const H2_CONNECTIONS: usize = 4;
pub const H2_STREAMS: usize = 16;

/// What a browser sends besides the request line and Host. No Accept-Encoding: nobody compresses here.
pub const REQUEST_HEADERS: &[(&str, &str)] = &[
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-US,en;q=0.5"),
    ("cookie", "sessionid=k3x9q0v7m2c8d1f5; theme=dark"),
];

/// A request, ready for every protocol, and the length of the answer it must get.
pub struct Request {
    h1: Vec<u8>,
    h2: http::Request<()>,
    len: usize,
}

impl Request {
    pub fn new(secure: bool, host: &str, page: Page) -> Result<Request> {
        let scheme = if secure { "https" } else { "http" };
        let mut h2 = http::Request::get(format!("{scheme}://{host}{}", page.path)).version(http::Version::HTTP_2);
        let mut h1 = format!("GET {} HTTP/1.1\r\nhost: {host}\r\n", page.path);
        for (name, value) in REQUEST_HEADERS {
            h2 = h2.header(*name, *value);
            h1.push_str(&format!("{name}: {value}\r\n"));
        }
        h1.push_str("\r\n");
        Ok(Request { h1: h1.into_bytes(), h2: h2.body(())?, len: page.len })
    }
}

/// Where to connect, and how.
#[derive(Clone)]
pub struct Connector {
    pub addr: SocketAddr,
    pub tls: tls::Client,
}

/// Carries one request at a time.
pub enum Lane {
    Plain(h1::Connection<TcpStream>),
    Tls(Box<h1::Connection<tls::Stream>>),
    H2(h2::Lane),
    /// Connects anew for each request: a full handshake, for the client keeps no session.
    Fresh(Connector),
}

impl Lane {
    async fn get(&mut self, request: &Request) -> Result<()> {
        match self {
            Lane::Plain(connection) => connection.get(request).await,
            Lane::Tls(connection) => connection.get(request).await,
            Lane::H2(lane) => lane.get(request).await,
            Lane::Fresh(connector) => {
                let mut connection = h1::Connection::new(connector.tls.h1(connector.addr).await?);
                connection.get(request).await?;
                connection.close().await
            }
        }
    }
}

impl Connector {
    /// The usual lanes of a door: 32 connections of h1, 4 × 16 streams of h2.
    pub async fn lanes(&self, door: Door) -> Result<Vec<Lane>> {
        let connections = if door == Door::H2Tls { H2_CONNECTIONS } else { H1_CONNECTIONS };
        let mut lanes = Vec::new();
        for _ in 0..connections {
            lanes.push(self.lane(door).await?);
        }
        if door == Door::H2Tls {
            for _ in 1..H2_STREAMS {
                lanes.extend(
                    (0..connections)
                        .filter_map(|at| match &lanes[at] {
                            Lane::H2(lane) => Some(Lane::H2(lane.clone())),
                            _ => None,
                        })
                        .collect::<Vec<_>>(),
                );
            }
        }
        Ok(lanes)
    }

    /// Lanes that connect anew each time.
    pub fn fresh_lanes(&self) -> Vec<Lane> {
        (0..H1_CONNECTIONS).map(|_| Lane::Fresh(self.clone())).collect()
    }

    /// `count` connections that each made one request and stay open.
    pub async fn idle(&self, door: Door, request: &Request, count: usize) -> Result<Vec<Lane>> {
        let mut lanes = Vec::with_capacity(count);
        for _ in 0..count {
            let mut lane = self.lane(door).await?;
            lane.get(request).await?;
            lanes.push(lane);
        }
        Ok(lanes)
    }

    async fn lane(&self, door: Door) -> Result<Lane> {
        Ok(match door {
            Door::H1Plain => Lane::Plain(h1::Connection::new(tcp(self.addr).await?)),
            Door::H1Tls => Lane::Tls(Box::new(h1::Connection::new(self.tls.h1(self.addr).await?))),
            Door::H2Tls => Lane::H2(h2::Lane::connect(self.tls.h2(self.addr).await?).await?),
        })
    }
}

/// What a drive gives back.
pub struct Driven {
    pub lanes: Vec<Lane>,
    /// One per request, sorted.
    pub latencies: Vec<Duration>,
    pub wall: Duration,
}

/// Sends exactly `count` requests over the lanes, as fast as the answers come.
pub async fn drive(lanes: Vec<Lane>, request: &Arc<Request>, count: usize) -> Result<Driven> {
    let left = Arc::new(AtomicUsize::new(count));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for mut lane in lanes {
        let (left, request) = (Arc::clone(&left), Arc::clone(request));
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let asked = Instant::now();
                lane.get(&request).await?;
                latencies.push(asked.elapsed());
            }
            anyhow::Ok((lane, latencies))
        });
    }
    let (mut lanes, mut latencies) = (Vec::new(), Vec::with_capacity(count));
    while let Some(done) = tasks.join_next().await {
        let (lane, taken) = done.context("a lane panicked")??;
        lanes.push(lane);
        latencies.extend(taken);
    }
    let wall = start.elapsed();
    latencies.sort_unstable();
    Ok(Driven { lanes, latencies, wall })
}

/// A connection without Nagle's delay.
pub async fn tcp(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
