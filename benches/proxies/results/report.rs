//! What comes out: medians, ratios and verdicts of one processor; their JSON is this file's types.
//!
//! `machine.rs` says where it ran, `table.rs` and `chart.rs` show it, `publish.rs` keeps it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::cells::{Cell, Unit, bar_of};

/// The proxy whose costs are compared with those of the others.
const OWN: &str = "edgectl";

/// Shown where nothing was measured.
pub const NONE: &str = "–";

/// One cell of one proxy in one round.
#[derive(Debug, Clone)]
pub struct Sample {
    /// In the cell's unit.
    pub cost: f64,
    pub pace: Option<Pace>,
}

/// What only busy cells have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pace {
    pub requests_per_second: f64,
    /// The share of the proxy's core that was used. Below 1 the other core was the limit: throughput is then not the
    /// proxy's best.
    pub core_busy: f64,
    /// The share that other programs had of it. Above a few hundredths the machine was not quiet.
    pub core_others: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub machine: Machine,
    /// By proxy, in the order of the columns.
    pub versions: Vec<(String, String)>,
    pub rounds: usize,
    /// The TLS that all load spoke.
    tls: String,
    pub cells: Vec<CellReport>,
    pub steady: Vec<SteadyReport>,
    pub access_logs: BTreeMap<String, Log>,
}

/// A line is due for each request.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Log {
    pub requests: usize,
    pub lines: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CellReport {
    pub id: String,
    pub label: String,
    pub unit: Unit,
    pub peers: Vec<PeerReport>,
}

/// Medians over the rounds.
#[derive(Debug, Serialize, Deserialize)]
pub struct PeerReport {
    pub name: String,
    pub cost: f64,
    pub cost_by_round: Vec<f64>,
    #[serde(flatten)]
    pub pace: Option<Pace>,
    #[serde(skip)]
    samples: Vec<Sample>,
}

/// A cell that was asked at a constant rate.
#[derive(Debug, Serialize, Deserialize)]
pub struct SteadyReport {
    pub id: String,
    pub label: String,
    /// Of the slowest peer's capacity.
    pub percent: u32,
    pub rate: f64,
    pub peers: Vec<SteadyPeer>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct SteadyPeer {
    pub name: String,
    pub requests: usize,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    /// How late the load's own schedule was.
    pub schedule_p99_us: f64,
    /// The share of the load's core that was used, by whomever. Near 1 the latency is the load's, not the proxy's.
    pub load_busy: f64,
}

/// edgectl's cost over a peer's, and what it may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratio {
    pub to: String,
    pub ratio: f64,
    pub bar: Option<f64>,
}

impl Ratio {
    /// Whether the bar is held; nothing without a bar.
    pub fn ok(&self) -> Option<bool> {
        self.bar.map(|bar| self.ratio <= bar)
    }
}

impl Report {
    pub fn new(machine: Machine, versions: Vec<(String, String)>, cells: &[Cell], rounds: usize) -> Report {
        let names: Vec<&String> = versions.iter().map(|(name, _)| name).collect();
        let cells = cells.iter().map(|cell| CellReport::new(cell, &names)).collect();
        let tls = "TLS 1.3, AES-128-GCM, X25519, ECDSA P-256, no resumption".to_owned();
        Report { machine, versions, rounds, tls, cells, steady: Vec::new(), access_logs: BTreeMap::new() }
    }

    pub fn add(&mut self, id: &str, peer: &str, sample: Sample) {
        let cell = self.cells.iter_mut().find(|report| report.id == id);
        if let Some(peer) = cell.and_then(|cell| cell.peers.iter_mut().find(|report| report.name == peer)) {
            peer.add(sample);
        }
    }

    pub fn add_log(&mut self, peer: &str, requests: usize, lines: usize) {
        let log = self.access_logs.entry(peer.to_owned()).or_default();
        log.requests += requests;
        log.lines += lines;
    }

    pub fn cell(&self, id: &str) -> Option<&CellReport> {
        self.cells.iter().find(|cell| cell.id == id)
    }

    /// Whether every bar is held and could be judged, and no proxy forgot a log line.
    pub fn passes(&self) -> bool {
        let ratios: Vec<Ratio> = self.cells.iter().flat_map(CellReport::ratios).collect();
        let has_logged = self.access_logs.values().all(|log| log.lines >= log.requests);
        !ratios.is_empty() && ratios.iter().all(|ratio| ratio.ok() != Some(false)) && has_logged
    }

    /// In one line: which versions ran on which machine.
    pub fn setting(&self) -> String {
        let versions: Vec<_> = self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let Machine { cpu, kernel, .. } = &self.machine;
        let rounds =
            if self.rounds == 1 { "one round".to_owned() } else { format!("medians of {} rounds", self.rounds) };
        format!("{} · {cpu}, Linux {kernel} · one core each, {rounds}", versions.join(", "))
    }
}

impl CellReport {
    fn new(cell: &Cell, names: &[&String]) -> CellReport {
        let peers = names.iter().map(|name| PeerReport::new(name)).collect();
        CellReport { id: cell.id.to_owned(), label: cell.label.to_owned(), unit: cell.unit(), peers }
    }

    /// The peer's cost with its unit.
    pub fn cost(&self, peer: &PeerReport) -> String {
        if peer.cost_by_round.is_empty() {
            return NONE.to_owned();
        }
        let digits = usize::from(peer.cost < 99.95);
        format!("{:.digits$} {}", peer.cost, self.unit.short())
    }

    pub fn ratios(&self) -> Vec<Ratio> {
        let measured = |peer: &&PeerReport| !peer.cost_by_round.is_empty();
        let Some(own) = self.peers.iter().filter(measured).find(|peer| peer.name == OWN) else {
            return Vec::new();
        };
        let others = self.peers.iter().filter(measured).filter(|peer| peer.name != own.name);
        let ratio = |peer: &PeerReport| Ratio {
            to: peer.name.clone(),
            ratio: own.cost / peer.cost,
            bar: bar_of(&self.id, &peer.name),
        };
        others.map(ratio).collect()
    }

    /// Requests a second of the slowest of these.
    pub fn capacity(&self, of: impl Fn(&str) -> bool) -> Option<f64> {
        let paces = self.peers.iter().filter(|peer| of(&peer.name)).filter_map(|peer| peer.pace.as_ref());
        paces.map(|pace| pace.requests_per_second).reduce(f64::min)
    }
}

impl PeerReport {
    fn new(name: &str) -> PeerReport {
        PeerReport { name: name.to_owned(), cost: 0.0, cost_by_round: Vec::new(), pace: None, samples: Vec::new() }
    }

    fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
        self.cost_by_round = self.samples.iter().map(|sample| sample.cost).collect();
        self.cost = median(self.cost_by_round.clone());
        let paces: Option<Vec<&Pace>> = self.samples.iter().map(|sample| sample.pace.as_ref()).collect();
        let of = |paces: &[&Pace], figure: fn(&Pace) -> f64| median(paces.iter().map(|pace| figure(pace)).collect());
        self.pace = paces.map(|paces| Pace {
            requests_per_second: of(&paces, |pace| pace.requests_per_second),
            core_busy: of(&paces, |pace| pace.core_busy),
            core_others: of(&paces, |pace| pace.core_others),
        });
    }
}

/// Of at least one figure.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}

pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
