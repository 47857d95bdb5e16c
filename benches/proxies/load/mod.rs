//! The load generator: lanes that ask and check, one request in flight on each.
//!
//! Every answer is checked for its status and the length of its body; the first that is wrong ends the run. Nothing is
//! retried, so a lost exchange can't hide in a figure.

pub mod h1;
pub mod h2;
pub mod request;
pub mod spread;
pub mod steady;
pub mod tls;
pub mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use request::Request;

/// Lanes of h1: one connection each.
pub const H1_CONNECTIONS: usize = 32;
/// Lanes of h2: `H2_STREAMS` on each connection.
pub const H2_CONNECTIONS: usize = 4;
pub const H2_STREAMS: usize = 16;

/// By which listener and protocol a proxy is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    H1Plain,
    H1Tls,
    H2Tls,
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
    /// Connects anew for each request: a full handshake, because the client keeps no session.
    Fresh(Connector),
}

impl Lane {
    /// Asks, and checks the answer.
    pub async fn get(&mut self, request: &Request) -> Result<()> {
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
    /// The usual lanes of a listener: 32 connections of h1, 4 × 16 streams of h2.
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

    /// One lane of a listener, on a connection of its own.
    pub async fn lane(&self, door: Door) -> Result<Lane> {
        Ok(match door {
            Door::H1Plain => Lane::Plain(h1::Connection::new(tcp(self.addr).await?)),
            Door::H1Tls => Lane::Tls(Box::new(h1::Connection::new(self.tls.h1(self.addr).await?))),
            Door::H2Tls => Lane::H2(h2::Lane::connect(self.tls.h2(self.addr).await?).await?),
        })
    }
}

/// Sends exactly `count` requests over the lanes, as fast as the answers come. Gives the lanes back.
pub async fn drive(lanes: Vec<Lane>, request: &Arc<Request>, count: usize) -> Result<Vec<Lane>> {
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = JoinSet::new();
    for mut lane in lanes {
        let (left, request) = (Arc::clone(&left), Arc::clone(request));
        // Ends when nothing is left, or with the first answer that is wrong.
        tasks.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                lane.get(&request).await?;
            }
            anyhow::Ok(lane)
        });
    }
    let mut lanes = Vec::new();
    while let Some(done) = tasks.join_next().await {
        lanes.push(done.context("a lane panicked")??);
    }
    Ok(lanes)
}

/// A connection without Nagle's delay.
pub async fn tcp(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to {addr}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
