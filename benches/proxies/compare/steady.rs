//! Latency at constant rates, of all proxies at the same: shares of what the slowest of them can do.
//!
//! At its limit a proxy's latency shows how many clients wait, not how fast it is; operators run it below that. The capacity is the
//! throughput that the busy cell has shown. The runs of all rounds are one spread.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::timeout;

use super::round::Running;
use super::{Bench, Plan, take};
use crate::cells::{Cell, STEADY, STEADY_PERCENT};
use crate::load::spread::Spread;
use crate::load::steady::{Seen, steady};
use crate::load::{Connector, drive};
use crate::peers::{Binary, Kind};
use crate::results::report::{Report, SteadyPeer, SteadyReport};

/// Runs of each rate, at most.
const ROUNDS: usize = 3;
/// Time beyond the schedule's. If a run takes longer, the proxy does not keep up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Requests before a run, as fast as the answers come.
const WARM_UP: usize = 2000;

/// Takes every cell of `STEADY` that the plan has, and adds it to the report.
pub async fn all(plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    for cell in plan.cells.iter().filter(|cell| STEADY.contains(&cell.id)) {
        let judged =
            |peer: &str| plan.binaries.iter().any(|binary| binary.kind.name() == peer && !binary.kind.informs());
        let Some(capacity) = report.cell(cell.id).and_then(|cell| cell.capacity(judged)) else {
            continue;
        };
        for &percent in STEADY_PERCENT {
            let rate = capacity * f64::from(percent) / 100.0;
            eprintln!("constant rate  {:30}  {percent}%: {rate:.0}/s", cell.label);
            let peers = rates(cell, rate, plan, bench, report).await?;
            let (id, label) = (cell.id.to_owned(), cell.label.to_owned());
            report.steady.push(SteadyReport { id, label, percent, rate, peers });
        }
    }
    Ok(())
}

async fn rates(cell: &Cell, rate: f64, plan: &Plan, bench: &Bench, report: &mut Report) -> Result<Vec<SteadyPeer>> {
    let binaries: Vec<&Binary> = plan.binaries.iter().filter(|binary| !binary.kind.informs()).collect();
    let mut spreads = vec![(Spread::default(), Spread::default(), 0.0f64); binaries.len()];
    for number in 0..plan.rounds.min(ROUNDS) {
        for turn in 0..binaries.len() {
            let at = (turn + number) % binaries.len();
            let binary = binaries[at];
            let mut running = Running::start(binary, cell.sites, bench).await?;
            let (busy, begun) = (bench.cores.load.busy()?, Instant::now());
            let seen = once(cell, rate, &mut running, plan).await;
            let busy = bench.cores.load.busy()?.saturating_sub(busy).as_secs_f64() / begun.elapsed().as_secs_f64();
            let seen = seen.with_context(|| format!("{} at {rate:.0}/s, {}", binary.kind.name(), cell.label))?;
            running.stop(report)?;
            spreads[at].0.merge(&seen.latency);
            spreads[at].1.merge(&seen.late);
            spreads[at].2 = spreads[at].2.max(busy);
        }
    }
    Ok(binaries.iter().zip(&spreads).map(|(binary, spread)| figures(binary.kind, spread)).collect())
}

async fn once(cell: &Cell, rate: f64, running: &mut Running, plan: &Plan) -> Result<Seen> {
    let request = take::request(cell)?;
    let connector: &Connector = running.peer.connector(cell.door);
    let lanes = connector.lanes(cell.door).await?;
    let lanes = drive(lanes, &request, WARM_UP).await?;
    let count = (rate * plan.times.steady.as_secs_f64()) as usize;
    let asked = timeout(plan.times.steady + PATIENCE, steady(lanes, &request, rate, count)).await;
    let seen = asked.context("does not keep up with the rate").flatten()?;
    running.count(WARM_UP + count);
    Ok(seen)
}

fn figures(kind: Kind, (latency, late, load_busy): &(Spread, Spread, f64)) -> SteadyPeer {
    let [p50_us, p99_us, p999_us] = latency.quantiles([0.50, 0.99, 0.999]);
    let [schedule_p99_us] = late.quantiles([0.99]);
    SteadyPeer {
        name: kind.name().to_owned(),
        requests: latency.len(),
        p50_us,
        p99_us,
        p999_us,
        schedule_p99_us,
        load_busy: *load_busy,
    }
}
