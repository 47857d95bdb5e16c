//! `make bench`: edgectl beside nginx and HAProxy, with the features that their users turn on.
//!
//! Every round starts all proxies afresh, each pinned to the same core, and takes each cell of one after the other, so
//! that a change of the machine's mood hits all; memory is read of a process that did nothing else. The load generator
//! and the origin share the other core, in this process. What counts is the CPU time of the proxy's processes per request;
//! figures are medians over the rounds.
//!
//! `cells.rs` says what is measured and the bars, `peers/` how the proxies are set up, `load/` who asks, `origin.rs` who
//! answers, `report.rs`, `table.rs` and `chart.rs` what comes out.

mod cells;
mod chart;
mod cpu;
mod load;
mod origin;
mod peers;
mod report;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use cells::{CELLS, Cell, Door, Kind};
use cpu::ProxyCore;
use load::{Request, drive, tls::Certificate};
use origin::Origin;
use peers::{Binary, PLAIN_HOST, Peer, TLS_HOST};
use report::{Machine, Report, Sample};

/// A cell that takes longer than this is an error.
const CELL_TIMEOUT: Duration = Duration::from_secs(90);
/// After the last answer: what a proxy still does for it (log, close) is its cost too.
const SETTLE: Duration = Duration::from_millis(50);
/// Before memory is read: buffers that are freed when idle have been.
const SETTLE_IDLE: Duration = Duration::from_secs(1);

/// Measures edgectl beside nginx and HAProxy: CPU per request, latency, throughput, memory per idle connection.
#[derive(Parser)]
struct Args {
    /// Which proxies to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "edgectl,nginx,haproxy")]
    peers: Vec<peers::Kind>,
    /// Only the cells whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// How many times each cell is taken of each proxy.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// One round, a tenth of the requests: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Exit with 1 when a bar is missed or could not be judged.
    #[arg(long)]
    check: bool,
    /// Where latest.json, latest.md and latest.svg go: benches/results after a whole run, else the build folder.
    #[arg(long)]
    out: Option<PathBuf>,
    /// What cargo passes.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` runs benches without arguments, and wants no minutes of measuring.
    if std::env::args().len() == 1 {
        println!("nothing measured: run `make bench`, or `cargo bench --profile harness --bench proxies`");
        return ExitCode::SUCCESS;
    }
    match measure(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    // First of all, so that every thread is born on the load generator's core.
    let core = ProxyCore::split()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            report = plan.run(core) => report,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    })?;
    print!("{}", table::terminal(&report));
    let out = plan.out(args);
    report.write(&out)?;
    println!("written: latest.json, latest.md and latest.svg in {}", out.display());
    Ok(if args.check && !report.passes() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What to measure, of whom, how often.
struct Plan {
    binaries: Vec<Binary>,
    cells: Vec<Cell>,
    rounds: usize,
    whole: bool,
}

impl Plan {
    fn new(args: &Args) -> Result<Plan> {
        let mut kinds = args.peers.clone();
        kinds.sort_unstable();
        kinds.dedup();
        if !kinds.contains(&peers::Kind::Edgectl) {
            eprintln!("WARNING: --peers leaves edgectl out: no ratio is shown and no bar is judged");
        }
        let wanted =
            |cell: &&Cell| args.cells.is_empty() || args.cells.iter().any(|part| cell.id.contains(part.as_str()));
        let mut cells: Vec<Cell> = CELLS.iter().filter(wanted).copied().collect();
        let ids = || CELLS.iter().map(|cell| cell.id).collect::<Vec<_>>().join(", ");
        ensure!(!cells.is_empty(), "--cells fits none of: {}", ids());
        if args.quick {
            for cell in &mut cells {
                cell.count /= 10;
            }
        }
        let binaries = kinds.into_iter().map(Binary::find).collect::<Result<Vec<_>>>()?;
        let whole = binaries.len() == 3 && cells.len() == CELLS.len() && !args.quick && args.rounds >= 5;
        Ok(Plan { binaries, cells, rounds: if args.quick { 1 } else { args.rounds as usize }, whole })
    }

    /// A partial run must not take the place of the published figures.
    fn out(&self, args: &Args) -> PathBuf {
        let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        let partial = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        args.out.clone().unwrap_or(if self.whole { published } else { partial })
    }

    async fn run(&self, core: ProxyCore) -> Result<Report> {
        let bench = Bench { core, origin: Origin::start().await?, certificate: Certificate::make(TLS_HOST)? };
        let mut report = Report::new(Machine::read(), &self.binaries, &self.cells, self.rounds);
        for round in 0..self.rounds {
            self.round(round, &bench, &mut report).await?;
        }
        Ok(report)
    }

    /// Each cell of each proxy once. Who goes first changes with the round.
    async fn round(&self, round: usize, bench: &Bench, report: &mut Report) -> Result<()> {
        let mut order: Vec<&Binary> = self.binaries.iter().collect();
        order.rotate_left(round % self.binaries.len());
        let mut running = Vec::new();
        for binary in order {
            running.push((binary, Running::start(binary, bench).await?));
        }
        for cell in &self.cells {
            eprint!("round {}/{}  {:24}", round + 1, self.rounds, cell.label);
            for (binary, running) in &mut running {
                let sample = if cell.kind == Kind::Idle {
                    // Memory that earlier requests used and freed would hide that of the connections.
                    let mut fresh = Running::start(binary, bench).await?;
                    let sample = fresh.take(cell, bench).await?;
                    fresh.stop(report)?;
                    sample
                } else {
                    running.take(cell, bench).await?
                };
                eprint!("  {} {:.1}", binary.kind.name(), sample.cost);
                report.add(cell, binary.kind, sample);
            }
            eprintln!();
        }
        running.into_iter().try_for_each(|(_, running)| running.stop(report))
    }
}

/// What all proxies of a run have in common.
struct Bench {
    core: ProxyCore,
    origin: Origin,
    certificate: Certificate,
}

/// A proxy and how many requests it has answered, which its access log must show.
struct Running {
    peer: Peer,
    answered: usize,
}

impl Running {
    async fn start(binary: &Binary, bench: &Bench) -> Result<Running> {
        let started = binary.start(bench.core, bench.origin.addr, &bench.certificate).await;
        let peer = started.with_context(|| format!("cannot start {}", binary.kind.name()))?;
        Ok(Running { peer, answered: 0 })
    }

    async fn take(&mut self, cell: &Cell, bench: &Bench) -> Result<Sample> {
        let taken = timeout(CELL_TIMEOUT, take(cell, &self.peer, bench)).await;
        let taken = taken.with_context(|| format!("not done within {} s", CELL_TIMEOUT.as_secs())).flatten();
        let (sample, requests) = taken.with_context(|| format!("{}, {}", self.peer.kind.name(), cell.label))?;
        self.answered += requests;
        Ok(sample)
    }

    fn stop(self, report: &mut Report) -> Result<()> {
        report.add_log(self.peer.kind, self.answered, self.peer.stop()?);
        Ok(())
    }
}

/// One sample of one proxy, and how many requests it answered for it.
async fn take(cell: &Cell, peer: &Peer, bench: &Bench) -> Result<(Sample, usize)> {
    let secure = cell.door != Door::H1Plain;
    let request = Arc::new(Request::new(secure, if secure { TLS_HOST } else { PLAIN_HOST }, cell.page())?);
    match cell.kind {
        Kind::Idle => idle(cell, peer, &request).await,
        Kind::Requests(_) | Kind::Handshakes => busy(cell, peer, &request, bench).await,
    }
}

async fn busy(cell: &Cell, peer: &Peer, request: &Arc<Request>, bench: &Bench) -> Result<(Sample, usize)> {
    let connector = peer.connector(cell.door);
    let lanes = match cell.kind {
        Kind::Handshakes => connector.fresh_lanes(),
        _ => connector.lanes(cell.door).await?,
    };
    let warm_up = (cell.count / 10).max(lanes.len());
    let warm = drive(lanes, request, warm_up).await?;
    sleep(SETTLE).await;

    let (opened, core_before, before) = (bench.origin.accepted(), bench.core.busy()?, peer.tree.cpu()?);
    let driven = drive(warm.lanes, request, cell.count).await?;
    sleep(SETTLE).await;
    let cpu = peer.tree.cpu()?.saturating_sub(before);
    let others = bench.core.busy()?.saturating_sub(core_before).saturating_sub(cpu);
    let opened = bench.origin.accepted() - opened;

    ensure!(driven.latencies.len() == cell.count, "{} of {} answered", driven.latencies.len(), cell.count);
    ensure!(opened <= 100 + cell.count / 20, "opened {opened} connections to the origin: it does not keep them alive");
    Ok((Sample::busy(cpu, others, &driven), warm_up + cell.count))
}

async fn idle(cell: &Cell, peer: &Peer, request: &Request) -> Result<(Sample, usize)> {
    let connector = peer.connector(cell.door);
    // Touches the code and the pools that every connection shares.
    let warm_up = 4;
    drop(connector.idle(cell.door, request, warm_up).await?);
    sleep(SETTLE_IDLE).await;

    let before = peer.tree.pss_kib()?;
    let lanes = connector.idle(cell.door, request, cell.count).await?;
    sleep(SETTLE_IDLE).await;
    let after = peer.tree.pss_kib()?;

    let sample = Sample::idle(after.saturating_sub(before) as f64 / cell.count as f64);
    Ok((sample, warm_up + lanes.len()))
}
