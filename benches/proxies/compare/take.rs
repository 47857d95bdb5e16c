//! One cell of one proxy: what it costs, and how many requests it has answered for that.
//!
//! Busy cells are asked by `tools/`. Handshakes and idle connections are asked by our own client: no tool makes a full handshake for each
//! request, nor holds connections that have made one request and nothing since.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{Bench, Times};
use crate::cells::{Cell, Work};
use crate::load::request::Request;
use crate::load::{Door, drive};
use crate::peers::Peer;
use crate::results::report::{Pace, Sample, micros};
use crate::tools::{self, Order};

/// The pause after the last answer: what a proxy still does for it (log, close) is part of its cost.
const SETTLE: Duration = Duration::from_millis(50);
/// The pause before memory is read: by then, buffers that are freed when idle have been freed.
const SETTLE_IDLE: Duration = Duration::from_secs(1);

pub async fn take(cell: &Cell, peer: &Peer, times: &Times, bench: &Bench) -> Result<(Sample, usize)> {
    match cell.work {
        Work::Requests(..) => requests(cell, peer, times, bench).await,
        Work::Handshakes(count) => handshakes(cell, count, peer, bench).await,
        Work::Idle(count) => idle(cell, count, peer).await,
        Work::Crowd(_) => anyhow::bail!("a crowd has its own proxies"),
    }
}

/// The request of a cell, for our own client.
pub fn request(cell: &Cell) -> Result<Arc<Request>> {
    let (page, shape) = cell.page();
    Ok(Arc::new(Request::new(cell.door != Door::H1Plain, cell.sites.host(cell.door), page, shape)?))
}

async fn requests(cell: &Cell, peer: &Peer, times: &Times, bench: &Bench) -> Result<(Sample, usize)> {
    let (page, shape) = cell.page();
    let order = |time| Order {
        door: cell.door,
        addr: peer.connector(cell.door).addr,
        host: cell.sites.host(cell.door),
        page,
        shape,
        time,
    };
    let warm = tools::busy(&order(times.warm_up)).await?;
    let opened = bench.origin.accepted().await?;
    let meter = Meter::start(peer, bench).await?;
    let seen = tools::busy(&order(times.busy)).await?;
    let sample = meter.stop(seen.requests, seen.wall).await?;
    let opened = bench.origin.accepted().await?.saturating_sub(opened);
    ensure!(
        opened <= 100 + seen.requests / 20,
        "opened {opened} connections to the origin for {} requests: it does not keep them alive",
        seen.requests
    );
    Ok((sample, warm.requests + seen.requests))
}

async fn handshakes(cell: &Cell, count: usize, peer: &Peer, bench: &Bench) -> Result<(Sample, usize)> {
    let (connector, request) = (peer.connector(cell.door), request(cell)?);
    let warm_up = count / 10;
    drive(connector.fresh_lanes(), &request, warm_up).await?;
    let meter = Meter::start(peer, bench).await?;
    let start = Instant::now();
    drive(connector.fresh_lanes(), &request, count).await?;
    Ok((meter.stop(count, start.elapsed()).await?, warm_up + count))
}

async fn idle(cell: &Cell, count: usize, peer: &Peer) -> Result<(Sample, usize)> {
    let (connector, request) = (peer.connector(cell.door), request(cell)?);
    // Touches the code and the pools that every connection shares.
    let warm_up = 4;
    drop(connector.idle(cell.door, &request, warm_up).await?);
    sleep(SETTLE_IDLE).await;

    let before = peer.tree.pss_kib()?;
    let lanes = connector.idle(cell.door, &request, count).await?;
    sleep(SETTLE_IDLE).await;
    let after = peer.tree.pss_kib()?;

    let cost = after.saturating_sub(before) as f64 / count as f64;
    Ok((Sample { cost, pace: None }, warm_up + lanes.len()))
}

/// The CPU time of all of a proxy's processes, and its core, from a moment on.
struct Meter<'a> {
    peer: &'a Peer,
    bench: &'a Bench,
    cpu: Duration,
    core: Duration,
}

impl Meter<'_> {
    async fn start<'a>(peer: &'a Peer, bench: &'a Bench) -> Result<Meter<'a>> {
        sleep(SETTLE).await;
        Ok(Meter { peer, bench, cpu: peer.tree.cpu()?, core: bench.cores.proxy.busy()? })
    }

    async fn stop(self, requests: usize, wall: Duration) -> Result<Sample> {
        sleep(SETTLE).await;
        let cpu = self.peer.tree.cpu()?.saturating_sub(self.cpu);
        let others = self.bench.cores.proxy.busy()?.saturating_sub(self.core).saturating_sub(cpu);
        let wall = wall.as_secs_f64();
        let pace = Pace {
            requests_per_second: requests as f64 / wall,
            core_busy: cpu.as_secs_f64() / wall,
            core_others: others.as_secs_f64() / wall,
        };
        Ok(Sample { cost: micros(cpu) / requests as f64, pace: Some(pace) })
    }
}
