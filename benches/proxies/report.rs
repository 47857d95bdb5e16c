//! What comes out: medians, ratios and verdicts; their JSON is this file's types. `table.rs` and `chart.rs` show them.
//!
//! Names the machine's CPU and kernel, never the machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cells::{BARS, Cell, Unit};
use crate::load::{Driven, H1_CONNECTIONS, H2_CONNECTIONS, H2_STREAMS};
use crate::peers::{Binary, Kind};
use crate::{chart, table};

/// One cell of one proxy in one round.
#[derive(Debug, Clone)]
pub struct Sample {
    /// In the cell's unit.
    pub cost: f64,
    pace: Option<Pace>,
}

/// What idle connections don't have.
#[derive(Debug, Clone, Serialize)]
pub struct Pace {
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// The share of the proxy's core that was used. Below 1 the other core was the limit: throughput is then not the
    /// proxy's best.
    pub core_busy: f64,
    /// The share that other programs had of it. Above a few hundredths the machine was not quiet.
    pub core_others: f64,
}

impl Sample {
    /// `others`: what other programs used of the proxy's core meanwhile.
    pub fn busy(cpu: Duration, others: Duration, driven: &Driven) -> Sample {
        let (count, wall) = (driven.latencies.len(), driven.wall.as_secs_f64());
        let quantile = |share: f64| micros(driven.latencies[((count - 1) as f64 * share) as usize]);
        let pace = Pace {
            requests_per_second: count as f64 / wall,
            p50_us: quantile(0.50),
            p99_us: quantile(0.99),
            core_busy: cpu.as_secs_f64() / wall,
            core_others: others.as_secs_f64() / wall,
        };
        Sample { cost: micros(cpu) / count as f64, pace: Some(pace) }
    }

    pub fn idle(kib: f64) -> Sample {
        Sample { cost: kib, pace: None }
    }
}

/// Where it ran, as far as it matters to the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    cpu: String,
    kernel: String,
    transparent_hugepages: String,
}

impl Machine {
    pub fn read() -> Machine {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let cpu =
            cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
        let kernel = read("/proc/sys/kernel/osrelease");
        let hugepages = read("/sys/kernel/mm/transparent_hugepage/enabled");
        let chosen = hugepages.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(chosen, _)| chosen);
        Machine {
            cpu: cpu.unwrap_or("unknown").to_owned(),
            // What follows the number names the one who built it.
            kernel: kernel.trim().split('-').next().unwrap_or_default().to_owned(),
            transparent_hugepages: chosen.unwrap_or("unknown").to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Report {
    machine: Machine,
    versions: BTreeMap<&'static str, String>,
    load: Load,
    pub cells: Vec<CellReport>,
    pub access_logs: BTreeMap<&'static str, Log>,
}

#[derive(Debug, Serialize)]
struct Load {
    rounds: usize,
    h1_connections: usize,
    h2_connections: usize,
    h2_streams_per_connection: usize,
    tls: &'static str,
}

/// A line is due for each request.
#[derive(Debug, Default, Serialize)]
pub struct Log {
    pub requests: usize,
    pub lines: usize,
}

#[derive(Debug, Serialize)]
pub struct CellReport {
    id: &'static str,
    pub label: &'static str,
    pub unit: Unit,
    count: usize,
    /// In the order of the figures' columns.
    pub peers: Vec<PeerReport>,
    pub ratios: Vec<Ratio>,
}

/// Medians over the rounds.
#[derive(Debug, Serialize)]
pub struct PeerReport {
    pub name: &'static str,
    pub cost: f64,
    pub cost_by_round: Vec<f64>,
    #[serde(flatten)]
    pub pace: Option<Pace>,
    #[serde(skip)]
    samples: Vec<Sample>,
}

/// edgectl's cost over a peer's, and what it may be.
#[derive(Debug, Serialize)]
pub struct Ratio {
    pub to: &'static str,
    pub ratio: f64,
    pub bar: Option<f64>,
    pub ok: Option<bool>,
}

impl Report {
    pub fn new(machine: Machine, binaries: &[Binary], cells: &[Cell], rounds: usize) -> Report {
        let load = Load {
            rounds,
            h1_connections: H1_CONNECTIONS,
            h2_connections: H2_CONNECTIONS,
            h2_streams_per_connection: H2_STREAMS,
            tls: "TLS 1.3, AES-128-GCM, X25519, ECDSA P-256, no resumption",
        };
        Report {
            machine,
            versions: binaries.iter().map(|binary| (binary.kind.name(), binary.version.clone())).collect(),
            load,
            cells: cells.iter().map(|cell| CellReport::new(cell, binaries)).collect(),
            access_logs: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, cell: &Cell, kind: Kind, sample: Sample) {
        let cell = self.cells.iter_mut().find(|report| report.id == cell.id);
        if let Some(cell) = cell {
            cell.add(kind, sample);
        }
    }

    pub fn add_log(&mut self, kind: Kind, requests: usize, lines: usize) {
        let log = self.access_logs.entry(kind.name()).or_default();
        log.requests += requests;
        log.lines += lines;
    }

    /// Every bar was judged and none missed, and every request was logged.
    pub fn passes(&self) -> bool {
        let kept = |bar: &crate::cells::Bar| {
            let ratio = self.cells.iter().filter(|cell| cell.id == bar.cell).flat_map(|cell| &cell.ratios);
            ratio.filter(|ratio| ratio.to == bar.peer).any(|ratio| ratio.ok == Some(true))
        };
        BARS.iter().all(kept) && self.access_logs.values().all(|log| log.lines >= log.requests)
    }

    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        for (file, text) in
            [("latest.json", json), ("latest.md", table::markdown(self)), ("latest.svg", chart::svg(self))]
        {
            fs::write(folder.join(file), text).with_context(|| format!("cannot write {file}"))?;
        }
        Ok(())
    }

    /// One line: who ran where.
    pub fn setting(&self) -> String {
        let versions: Vec<_> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let Machine { cpu, kernel, .. } = &self.machine;
        format!(
            "{} · {cpu}, Linux {kernel} · one core each, rounds: {}, medians",
            versions.join(", "),
            self.load.rounds
        )
    }
}

impl CellReport {
    fn new(cell: &Cell, binaries: &[Binary]) -> CellReport {
        let peers = binaries.iter().map(|binary| PeerReport::new(binary.kind.name())).collect();
        CellReport { id: cell.id, label: cell.label, unit: cell.unit(), count: cell.count, peers, ratios: Vec::new() }
    }

    /// The peer's cost with its unit.
    pub fn cost(&self, peer: &PeerReport) -> String {
        let digits = usize::from(peer.cost < 99.95);
        format!("{:.digits$} {}", peer.cost, self.unit.short())
    }

    fn add(&mut self, kind: Kind, sample: Sample) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.name == kind.name()) {
            peer.add(sample);
        }
        self.ratios = self.ratios();
    }

    fn ratios(&self) -> Vec<Ratio> {
        let Some(own) = self.peers.iter().find(|peer| peer.name == Kind::Edgectl.name()) else {
            return Vec::new();
        };
        let others = self.peers.iter().filter(|peer| peer.name != own.name);
        others
            .map(|peer| {
                let bar = BARS.iter().find(|bar| bar.cell == self.id && bar.peer == peer.name).map(|bar| bar.max);
                let ratio = own.cost / peer.cost;
                Ratio { to: peer.name, ratio, bar, ok: bar.map(|bar| ratio <= bar) }
            })
            .collect()
    }
}

impl PeerReport {
    fn new(name: &'static str) -> PeerReport {
        PeerReport { name, cost: f64::NAN, cost_by_round: Vec::new(), pace: None, samples: Vec::new() }
    }

    fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
        self.cost_by_round = self.samples.iter().map(|sample| sample.cost).collect();
        self.cost = median(self.cost_by_round.clone());
        let paces: Option<Vec<&Pace>> = self.samples.iter().map(|sample| sample.pace.as_ref()).collect();
        let of = |paces: &[&Pace], figure: fn(&Pace) -> f64| median(paces.iter().map(|pace| figure(pace)).collect());
        self.pace = paces.map(|paces| Pace {
            requests_per_second: of(&paces, |pace| pace.requests_per_second),
            p50_us: of(&paces, |pace| pace.p50_us),
            p99_us: of(&paces, |pace| pace.p99_us),
            core_busy: of(&paces, |pace| pace.core_busy),
            core_others: of(&paces, |pace| pace.core_others),
        });
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
