//! `make bench`: edgectl beside nginx and HAProxy, with the features that their users turn on. Those two set the bars; Caddy and
//! Envoy, where they are installed, are measured in the cells of one site for information.
//!
//! Every round starts all proxies afresh, each pinned to the same core, and takes each cell of one after the other, so that a
//! change of the machine's speed affects all; memory is read from a process that did nothing else. The load and the origin,
//! processes of their own, share the other core; if there is a third core, the origin has it. What counts is the CPU time of all of
//! the proxy's processes and threads per request; figures are medians over the rounds. After the rounds, `steady.rs` asks at
//! constant rates.
//!
//! `cells.rs` says what is measured and the bars, `take.rs` takes a cell, `crowd.rs` those of many sites, `results/` shows what comes
//! out.

mod crowd;
mod round;
mod steady;
mod take;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::cells::{CELLS, Cell, Crowd, Work};
use crate::cpu::Cores;
use crate::load::tls::Certificate;
use crate::origin::Origin;
use crate::peers::sites::{CrowdFiles, Sites, covered};
use crate::peers::{Binary, Ground, Kind, PROBES};
use crate::results::machine::Machine;
use crate::results::report::Report;
use crate::results::{publish, table};

/// Sites of the crowd, and of a quick one.
const CROWD: usize = 10_000;
const CROWD_QUICK: usize = 500;

/// Measures edgectl beside nginx and HAProxy: CPU per request, latency, throughput, memory.
#[derive(clap::Args)]
pub struct Args {
    /// Which proxies to measure. Caddy and Envoy are left out where they are not installed.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "edgectl,nginx,haproxy,caddy,envoy")]
    peers: Vec<Kind>,
    /// Only the cells whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// How many times each cell is taken of each proxy.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
    /// One round, a second a cell, a small crowd: whether it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Exit with 1 when a bar is missed or could not be judged.
    #[arg(long)]
    check: bool,
    /// Where the results go: benches/results, and the README, after a whole run; else the build folder.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What to measure, of which proxies, how often, how long.
pub struct Plan {
    binaries: Vec<Binary>,
    cells: Vec<Cell>,
    rounds: usize,
    times: Times,
    crowd: usize,
    whole: bool,
}

/// How long a busy cell is asked before it counts, while it counts, and at a constant rate.
struct Times {
    warm_up: Duration,
    busy: Duration,
    steady: Duration,
}

/// What all proxies of a run have in common.
pub struct Bench {
    cores: Cores,
    origin: Origin,
    grounds: [Ground; 2],
    /// Present when a cell asks for it.
    crowd: Option<CrowdFiles>,
}

/// Measures, shows, keeps.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    if plan.whole {
        // A file that can't be read is better noticed before the figures are taken than after.
        publish::kept(&published())?;
    }
    // Before anything is started, because what is started inherits the core.
    let bench = Bench::new(Cores::split()?, &plan)?;
    let versions = plan.binaries.iter().map(|binary| (binary.kind.name().to_owned(), binary.version.clone()));
    let mut report = Report::new(Machine::read(), versions.collect(), &plan.cells, plan.rounds);
    let measured = plan.measure(&bench, &mut report).await;
    print!("{}", table::terminal(&report));
    plan.publish(args, &report, measured.is_ok())?;
    measured?;
    Ok(if args.check && !report.passes() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Plan {
    fn new(args: &Args) -> Result<Plan> {
        let mut kinds = args.peers.clone();
        kinds.sort_unstable();
        kinds.dedup();
        if !kinds.contains(&Kind::Edgectl) {
            eprintln!("WARNING: --peers leaves edgectl out: no ratio is shown and no bar is judged");
        }
        let wanted =
            |cell: &&Cell| args.cells.is_empty() || args.cells.iter().any(|part| cell.id.contains(part.as_str()));
        let mut cells: Vec<Cell> = CELLS.iter().filter(wanted).copied().collect();
        let ids = || CELLS.iter().map(|cell| cell.id).collect::<Vec<_>>().join(", ");
        ensure!(!cells.is_empty(), "--cells fits none of: {}", ids());
        let mut times =
            Times { warm_up: Duration::from_secs(1), busy: Duration::from_secs(3), steady: Duration::from_secs(5) };
        if args.quick {
            times = Times { busy: Duration::from_secs(1), steady: Duration::from_secs(1), ..times };
            cells.iter_mut().for_each(make_quick);
        }
        let binaries = find(kinds)?;
        let whole = binaries.iter().filter(|binary| !binary.kind.informs()).count() == 3
            && cells.len() == CELLS.len()
            && !args.quick
            && args.rounds >= 5;
        let rounds = if args.quick { 1 } else { args.rounds as usize };
        let crowd = if args.quick { CROWD_QUICK } else { CROWD };
        Ok(Plan { binaries, cells, rounds, times, crowd, whole })
    }

    async fn measure(&self, bench: &Bench, report: &mut Report) -> Result<()> {
        for number in 0..self.rounds {
            round::round(number, self, bench, report).await?;
        }
        steady::all(self, bench, report).await
    }

    /// A partial run, or one that failed, must not take the place of the published figures.
    fn publish(&self, args: &Args, report: &Report, done: bool) -> Result<()> {
        let partial = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let folder = args.out.clone().unwrap_or(if self.whole && done { published() } else { partial });
        publish::keep(report, &folder)?;
        println!("written: {}.json, .md and .svg in {}", report.machine.slug(), folder.display());
        if folder == published() {
            publish::overview(&folder, &Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))?;
            println!("written: the README's block, from all processors that are kept");
        }
        Ok(())
    }
}

fn published() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results")
}

fn find(kinds: Vec<Kind>) -> Result<Vec<Binary>> {
    let mut found = Vec::new();
    for kind in kinds {
        match Binary::find(kind) {
            Ok(binary) => found.push(binary),
            Err(error) if kind.informs() => eprintln!("{} is left out: {error:#}", kind.name()),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn make_quick(cell: &mut Cell) {
    match &mut cell.work {
        Work::Requests(..) => {}
        Work::Handshakes(count) | Work::Idle(count) => *count /= 10,
        // The label must not promise more.
        Work::Crowd(Crowd::Start) => cell.label = "500 certificates: first handshake",
        Work::Crowd(Crowd::Reload) => cell.label = "500 certificates: reload",
        Work::Crowd(Crowd::Memory) => cell.label = "500 certificates: memory",
    }
}

impl Bench {
    fn new(cores: Cores, plan: &Plan) -> Result<Bench> {
        let origin = Origin::start(cores.origin)?;
        let ground = |sites| {
            let certificate = Certificate::make(covered())?;
            anyhow::Ok(Ground { origin: origin.addr, certificate, sites, crowd: PathBuf::new(), probes: PROBES })
        };
        let grounds = [ground(Sites::One)?, ground(Sites::Ten)?];
        let crowded = plan.cells.iter().any(|cell| matches!(cell.work, Work::Crowd(_)));
        let crowd = crowded.then(|| CrowdFiles::make(plan.crowd)).transpose()?;
        Ok(Bench { cores, origin, grounds, crowd })
    }

    fn ground(&self, sites: Sites) -> &Ground {
        let [one, ten] = &self.grounds;
        if sites == Sites::Ten { ten } else { one }
    }
}
