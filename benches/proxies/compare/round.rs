//! A round: each cell of each proxy once. Which proxy goes first changes with the round.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use super::{Bench, Plan, crowd, take};
use crate::cells::{Cell, Work};
use crate::peers::sites::Sites;
use crate::peers::{Binary, Peer};
use crate::results::report::{Report, Sample};

/// A cell that takes longer than this is an error.
const CELL_TIMEOUT: Duration = Duration::from_secs(90);
/// As `CELL_TIMEOUT`, for the crowd of one proxy.
const CROWD_TIMEOUT: Duration = Duration::from_mins(9);
/// Rounds that have a crowd, at most: it takes a minute.
const CROWD_ROUNDS: usize = 3;

pub async fn round(number: usize, plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let mut order: Vec<&Binary> = plan.binaries.iter().collect();
    order.rotate_left(number % plan.binaries.len());
    for sites in [Sites::One, Sites::Ten] {
        let mut running = Vec::new();
        let cells: Vec<&Cell> = plan.cells.iter().filter(|cell| cell.sites == sites && !is_crowd(cell)).collect();
        if cells.is_empty() {
            continue;
        }
        for binary in order.iter().filter(|binary| sites == Sites::One || !binary.kind.informs()) {
            running.push((*binary, Running::start(binary, sites, bench).await?));
        }
        for cell in cells {
            eprint!("round {}/{}  {:30}", number + 1, plan.rounds, cell.label);
            for (binary, running) in &mut running {
                let sample = if matches!(cell.work, Work::Idle(_)) {
                    // Memory that earlier requests used and freed would hide that of the connections.
                    let mut fresh = Running::start(binary, sites, bench).await?;
                    let sample = fresh.take(cell, plan, bench).await?;
                    fresh.stop(report)?;
                    sample
                } else {
                    running.take(cell, plan, bench).await?
                };
                eprint!("  {} {:.1}", binary.kind.name(), sample.cost);
                report.add(cell.id, binary.kind.name(), sample);
            }
            eprintln!();
        }
        running.into_iter().try_for_each(|(_, running)| running.stop(report))?;
    }
    if number < CROWD_ROUNDS {
        crowds(&order, plan, bench, report).await?;
    }
    Ok(())
}

/// The cells of the crowd are three figures of one start.
async fn crowds(order: &[&Binary], plan: &Plan, bench: &Bench, report: &mut Report) -> Result<()> {
    let Some(files) = &bench.crowd else {
        return Ok(());
    };
    for binary in order.iter().filter(|binary| !binary.kind.informs()) {
        let taken = timeout(CROWD_TIMEOUT, crowd::take(binary, files, bench)).await;
        let taken = taken.with_context(|| format!("not done within {} s", CROWD_TIMEOUT.as_secs())).flatten();
        let taken = taken.with_context(|| format!("{}, {} certificates", binary.kind.name(), files.count))?;
        eprintln!("{} certificates  {}: {taken}", files.count, binary.kind.name());
        for cell in &plan.cells {
            if let Work::Crowd(figure) = cell.work {
                report.add(cell.id, binary.kind.name(), Sample { cost: taken.of(figure), pace: None });
            }
        }
    }
    Ok(())
}

fn is_crowd(cell: &Cell) -> bool {
    matches!(cell.work, Work::Crowd(_))
}

/// A proxy and how many requests it has answered, which its access log must show.
pub struct Running {
    pub peer: Peer,
    answered: usize,
}

impl Running {
    pub async fn start(binary: &Binary, sites: Sites, bench: &Bench) -> Result<Running> {
        let started = binary.start(bench.cores.proxy, bench.ground(sites)).await;
        let peer = started.with_context(|| format!("cannot start {}", binary.kind.name()))?;
        Ok(Running { peer, answered: 0 })
    }

    async fn take(&mut self, cell: &Cell, plan: &Plan, bench: &Bench) -> Result<Sample> {
        let taken = timeout(CELL_TIMEOUT, take::take(cell, &self.peer, &plan.times, bench)).await;
        let taken = taken.with_context(|| format!("not done within {} s", CELL_TIMEOUT.as_secs())).flatten();
        let (sample, requests) = taken.with_context(|| format!("{}, {}", self.peer.kind.name(), cell.label))?;
        self.answered += requests;
        Ok(sample)
    }

    /// Counts requests that were made elsewhere.
    pub fn count(&mut self, requests: usize) {
        self.answered += requests;
    }

    pub fn stop(self, report: &mut Report) -> Result<()> {
        let name = self.peer.kind.name();
        report.add_log(name, self.answered, self.peer.stop()?);
        Ok(())
    }
}
