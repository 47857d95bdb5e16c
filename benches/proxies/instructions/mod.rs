//! `make instructions`: how many instructions edgectl spends on a request, counted by callgrind. The number that no machine changes.
//!
//! One client asks one request after the other over a connection that stays open, so every request takes the same way through the
//! program, without the batches of a busy server. A cell is counted in chunks and its figure is their median; what the program does
//! without requests (sweeps, probes) is counted while nothing is asked, and taken off by the clock. `kept.rs` compares.

pub mod callgrind;
pub mod kept;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::time::{sleep, timeout};

use crate::load::request::{KIB_1, KIB_64, Page, Request, Shape};
use crate::load::tls::{Certificate, Stream};
use crate::load::websocket::WebSocket;
use crate::load::{Door, Lane};
use crate::origin::Origin;
use crate::peers::sites::{Sites, covered};
use crate::peers::{Binary, Ground, Kind};
use callgrind::Counted;
use kept::Counts;

/// Rarely, for a probe within a chunk is noise; and with patience, for the first one is answered while valgrind still translates.
const PROBES: &str = "interval = \"5m\"\ntimeout = \"1m\"";
const CHUNKS: usize = 5;
/// Requests before anything is counted: they make connections to the origin, buffers, lazy tables.
const WARM_UP: usize = 20;
/// The pause after the last answer of a chunk: its log line is part of the cost.
const SETTLE: Duration = Duration::from_millis(100);
/// How long the idle program is counted.
const IDLE: Duration = Duration::from_secs(2);
/// A cell that takes longer than this is an error.
const CELL_TIMEOUT: Duration = Duration::from_mins(3);

/// Counts edgectl's instructions per request under callgrind, and compares them with those that are kept.
#[derive(clap::Args)]
pub struct Args {
    /// The binary to count: default is the release binary of this project, or EDGECTL_BIN.
    #[arg(long, value_name = "FILE")]
    bin: Option<PathBuf>,
    /// Compare with this binary instead of the counts that are kept.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Only the cells whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    cells: Vec<String>,
    /// Keep these counts: benches/results/instructions.json.
    #[arg(long, conflicts_with_all = ["against", "cells"])]
    keep: bool,
    /// Leave each cell's last dump in this folder, for KCachegrind.
    #[arg(long, value_name = "FOLDER")]
    dumps: Option<PathBuf>,
}

/// One way through the program.
#[derive(Debug, Clone, Copy)]
struct Cell {
    id: &'static str,
    sites: Sites,
    door: Door,
    ask: Ask,
    /// Requests in a chunk.
    count: usize,
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Page(Page, Shape),
    /// A message of a WebSocket, there and back.
    Message,
    /// A new connection, a full handshake and one small request.
    Handshake,
}

const SMALL: Ask = Ask::Page(KIB_1, Shape::Small);
const LARGE: Ask = Ask::Page(KIB_64, Shape::Small);
const BROWSER: Ask = Ask::Page(KIB_1, Shape::Browser);
const APART: Ask = Ask::Page(KIB_1.at("/apart/1k"), Shape::Small);
const POST: Ask = Ask::Page(KIB_1, Shape::Post(16 << 10));
const ROUTED: Ask = Ask::Page(KIB_1.at("/api/items/1k"), Shape::Browser);

const CELLS: &[Cell] = &[
    cell("h1-plain-1k", Sites::One, Door::H1Plain, SMALL, 200),
    cell("h1-tls-1k", Sites::One, Door::H1Tls, SMALL, 200),
    cell("h2-tls-1k", Sites::One, Door::H2Tls, SMALL, 200),
    cell("h1-plain-64k", Sites::One, Door::H1Plain, LARGE, 100),
    cell("h1-tls-64k", Sites::One, Door::H1Tls, LARGE, 100),
    cell("h2-tls-64k", Sites::One, Door::H2Tls, LARGE, 100),
    cell("h1-tls-browser", Sites::One, Door::H1Tls, BROWSER, 200),
    cell("h2-tls-browser", Sites::One, Door::H2Tls, BROWSER, 200),
    cell("h1-tls-two-writes", Sites::One, Door::H1Tls, APART, 60),
    cell("h2-tls-two-writes", Sites::One, Door::H2Tls, APART, 60),
    cell("h1-tls-post-16k", Sites::One, Door::H1Tls, POST, 100),
    cell("h2-tls-post-16k", Sites::One, Door::H2Tls, POST, 100),
    cell("websocket-message", Sites::One, Door::H1Tls, Ask::Message, 200),
    cell("handshake", Sites::One, Door::H1Tls, Ask::Handshake, 20),
    cell("ten-sites-h1-tls", Sites::Ten, Door::H1Tls, ROUTED, 200),
    cell("ten-sites-h2-tls", Sites::Ten, Door::H2Tls, ROUTED, 200),
];

/// Counts, shows, keeps. Fails when a cell has grown.
pub async fn run(args: &Args) -> Result<ExitCode> {
    let wanted = |cell: &&Cell| args.cells.is_empty() || args.cells.iter().any(|part| cell.id.contains(part.as_str()));
    let cells: Vec<Cell> = CELLS.iter().filter(wanted).copied().collect();
    let ids = || CELLS.iter().map(|cell| cell.id).collect::<Vec<_>>().join(", ");
    ensure!(!cells.is_empty(), "--cells fits none of: {}", ids());

    let before = match &args.against {
        Some(path) => Some(count(&Binary::edgectl(path.clone())?, &cells, None).await?),
        None => Counts::read(&kept::path())?,
    };
    let binary = match &args.bin {
        Some(path) => Binary::edgectl(path.clone())?,
        None => Binary::find(Kind::Edgectl)?,
    };
    let now = count(&binary, &cells, args.dumps.as_deref()).await?;
    let changes = now.changes(before.as_ref());
    print!("{}", kept::table(&changes));
    if let Some(before) = before.filter(|before| before.valgrind != now.valgrind) {
        println!("WARNING: kept with valgrind {}, counted with {}: not the same ruler", before.valgrind, now.valgrind);
    }
    if args.keep {
        now.write(&kept::path())?;
        println!("kept: {}", kept::path().display());
        return Ok(ExitCode::SUCCESS);
    }
    let grown = changes.iter().filter(|change| change.has_grown()).count();
    if grown > 0 {
        println!("GROWN: {grown} of {} cells by more than {:.0}%", changes.len(), kept::TOLERANCE * 100.0);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn count(binary: &Binary, cells: &[Cell], dumps: Option<&Path>) -> Result<Counts> {
    let origin = Origin::start(None)?;
    let mut counts = BTreeMap::new();
    for sites in [Sites::One, Sites::Ten] {
        let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.sites == sites).collect();
        if cells.is_empty() {
            continue;
        }
        let certificate = Certificate::make(covered())?;
        let ground = Ground { origin: origin.addr, certificate, sites, crowd: PathBuf::new(), probes: PROBES };
        let mut counted = Counted::start(binary, &ground).await.context("cannot start edgectl under callgrind")?;
        for cell in cells {
            let figure = timeout(CELL_TIMEOUT, cell.count(&mut counted)).await;
            let figure = figure.with_context(|| format!("not done within {} s", CELL_TIMEOUT.as_secs())).flatten();
            counts.insert(cell.id.to_owned(), figure.with_context(|| cell.id)?);
            if let Some(folder) = dumps {
                counted.leave(folder, cell.id)?;
            }
        }
    }
    Ok(Counts { valgrind: valgrind()?, version: binary.version.clone(), cells: counts })
}

impl Cell {
    /// The median of the chunks, in instructions per request.
    async fn count(&self, counted: &mut Counted) -> Result<u64> {
        let mut client = Client::connect(self, counted).await?;
        client.ask(WARM_UP.min(self.count)).await?;
        sleep(SETTLE).await;
        let idle = idle(counted).await?;
        let mut chunks = Vec::new();
        for _ in 0..CHUNKS {
            counted.zero()?;
            let start = Instant::now();
            client.ask(self.count).await?;
            sleep(SETTLE).await;
            let background = idle * start.elapsed().as_secs_f64();
            chunks.push((counted.take()? as f64 - background) / self.count as f64);
        }
        chunks.sort_by(f64::total_cmp);
        let (least, median, most) = (chunks[0], chunks[CHUNKS / 2], chunks[CHUNKS - 1]);
        eprintln!("{:28}{median:>12.0}   {least:.0}..{most:.0}, idle {idle:.0}/s", self.id);
        Ok(median as u64)
    }
}

/// Instructions per second of a program that is asked nothing.
async fn idle(counted: &mut Counted) -> Result<f64> {
    counted.zero()?;
    let start = Instant::now();
    sleep(IDLE).await;
    let spent = start.elapsed();
    Ok(counted.take()? as f64 / spent.as_secs_f64())
}

/// The client: one connection, one request at a time.
enum Client {
    Requests { lane: Box<Lane>, request: Box<Request> },
    Messages(Box<WebSocket<Stream>>),
}

impl Client {
    async fn connect(cell: &Cell, counted: &Counted) -> Result<Client> {
        let host = cell.sites.host(cell.door);
        let connector = counted.peer.connector(cell.door);
        let lane = match cell.ask {
            Ask::Page(..) => connector.lane(cell.door).await?,
            Ask::Handshake => Lane::Fresh(connector.clone()),
            Ask::Message => {
                let io = connector.tls.h1(connector.addr).await?;
                return Ok(Client::Messages(Box::new(WebSocket::open(io, host).await?)));
            }
        };
        let (page, shape) = match cell.ask {
            Ask::Page(page, shape) => (page, shape),
            Ask::Handshake | Ask::Message => (KIB_1, Shape::Small),
        };
        let request = Request::new(cell.door != Door::H1Plain, host, page, shape)?;
        Ok(Client::Requests { lane: Box::new(lane), request: Box::new(request) })
    }

    async fn ask(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            match self {
                Client::Requests { lane, request } => lane.get(request).await?,
                Client::Messages(socket) => socket.echo().await?,
            }
        }
        Ok(())
    }
}

/// valgrind's version.
fn valgrind() -> Result<String> {
    let said = Command::new("valgrind").arg("--version").output().context("cannot run valgrind: install it")?;
    let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    match said.strip_prefix("valgrind-") {
        Some(version) => Ok(version.to_owned()),
        None => bail!("valgrind told no version: {said:?}"),
    }
}

const fn cell(id: &'static str, sites: Sites, door: Door, ask: Ask, count: usize) -> Cell {
    Cell { id, sites, door, ask, count }
}
