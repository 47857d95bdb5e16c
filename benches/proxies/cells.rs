//! What is measured, and how good it must be: the list of cells and the bars on them.
//!
//! A cell of requests runs for a fixed time under a load that never lets the proxy rest, and its figure is CPU time per request: a slow
//! proxy answers less, and is charged for what it answers. `STEADY` are the cells that are also asked at a constant rate. Cells
//! without a bar are for information.

use serde::{Deserialize, Serialize};

use crate::load::Door;
use crate::load::request::{KIB_1, KIB_64, MIB_1, Page, Shape};
use crate::peers::sites::Sites;

/// One figure to take of each proxy.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub id: &'static str,
    pub label: &'static str,
    pub sites: Sites,
    pub door: Door,
    pub work: Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Requests over connections that stay open.
    Requests(Page, Shape),
    /// A new connection, a full handshake and one small request each; so many of them.
    Handshakes(usize),
    /// So many connections that made one request and then say nothing.
    Idle(usize),
    /// 10,000 sites with a certificate each.
    Crowd(Crowd),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowd {
    /// From the start of the process to the first handshake with one of them.
    Start,
    /// From the order to reload to the first handshake with a site that was added.
    Reload,
    /// Memory of all processes after the start.
    Memory,
}

/// The unit of a cell's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    #[serde(rename = "cpu_us_per_request")]
    MicrosPerRequest,
    #[serde(rename = "cpu_us_per_handshake")]
    MicrosPerHandshake,
    #[serde(rename = "kib_per_connection")]
    KibPerConnection,
    #[serde(rename = "ms")]
    Millis,
    #[serde(rename = "mib")]
    Mib,
}

impl Unit {
    pub fn short(self) -> &'static str {
        match self {
            Unit::MicrosPerRequest | Unit::MicrosPerHandshake => "µs",
            Unit::KibPerConnection => "KiB",
            Unit::Millis => "ms",
            Unit::Mib => "MiB",
        }
    }
}

impl Cell {
    pub fn unit(&self) -> Unit {
        match self.work {
            Work::Requests(..) => Unit::MicrosPerRequest,
            Work::Handshakes(_) => Unit::MicrosPerHandshake,
            Work::Idle(_) => Unit::KibPerConnection,
            Work::Crowd(Crowd::Start | Crowd::Reload) => Unit::Millis,
            Work::Crowd(Crowd::Memory) => Unit::Mib,
        }
    }

    /// What this cell asks for.
    pub fn page(&self) -> (Page, Shape) {
        match self.work {
            Work::Requests(page, shape) => (page, shape),
            Work::Handshakes(_) | Work::Idle(_) | Work::Crowd(_) => (KIB_1, Shape::Small),
        }
    }
}

const fn small(page: Page) -> Work {
    Work::Requests(page, Shape::Small)
}

const TWO: Work = small(KIB_1.at("/two/1k"));
const TWO_64: Work = small(KIB_64.at("/two/64k"));
const BROWSER: Work = Work::Requests(KIB_1.at("/two/1k"), Shape::Browser);
const ROUTED: Work = Work::Requests(KIB_1.at("/two/api/items/1k"), Shape::Browser);

pub const CELLS: &[Cell] = &[
    cell("h1-plain-1k", "h1 plain, 1 KiB", Sites::One, Door::H1Plain, small(KIB_1)),
    cell("h1-tls-1k", "h1 TLS, 1 KiB", Sites::One, Door::H1Tls, small(KIB_1)),
    cell("h2-tls-1k", "h2 TLS, 1 KiB", Sites::One, Door::H2Tls, small(KIB_1)),
    cell("h1-plain-1k-two", "h1 plain, 1 KiB, two writes", Sites::One, Door::H1Plain, TWO),
    cell("h1-tls-1k-two", "h1 TLS, 1 KiB, two writes", Sites::One, Door::H1Tls, TWO),
    cell("h2-tls-1k-two", "h2 TLS, 1 KiB, two writes", Sites::One, Door::H2Tls, TWO),
    cell("h1-tls-browser", "h1 TLS, browser, two writes", Sites::One, Door::H1Tls, BROWSER),
    cell("h2-tls-browser", "h2 TLS, browser, two writes", Sites::One, Door::H2Tls, BROWSER),
    cell("ten-h1-tls", "ten sites, h1 TLS, browser", Sites::Ten, Door::H1Tls, ROUTED),
    cell("ten-h2-tls", "ten sites, h2 TLS, browser", Sites::Ten, Door::H2Tls, ROUTED),
    cell("h1-plain-64k", "h1 plain, 64 KiB", Sites::One, Door::H1Plain, small(KIB_64)),
    cell("h1-tls-64k", "h1 TLS, 64 KiB", Sites::One, Door::H1Tls, small(KIB_64)),
    cell("h2-tls-64k", "h2 TLS, 64 KiB", Sites::One, Door::H2Tls, small(KIB_64)),
    cell("h2-tls-64k-two", "h2 TLS, 64 KiB, two writes", Sites::One, Door::H2Tls, TWO_64),
    cell("h1-plain-1m", "h1 plain, 1 MiB", Sites::One, Door::H1Plain, small(MIB_1)),
    cell("h1-tls-1m", "h1 TLS, 1 MiB", Sites::One, Door::H1Tls, small(MIB_1)),
    cell("h2-tls-1m", "h2 TLS, 1 MiB", Sites::One, Door::H2Tls, small(MIB_1)),
    cell("handshake", "full TLS handshake", Sites::One, Door::H1Tls, Work::Handshakes(4000)),
    cell("idle-h1", "idle TLS connection, h1", Sites::One, Door::H1Tls, Work::Idle(1000)),
    cell("idle-h2", "idle TLS connection, h2", Sites::One, Door::H2Tls, Work::Idle(1000)),
    cell("crowd-start", "10,000 certificates: first handshake", Sites::One, Door::H1Tls, Work::Crowd(Crowd::Start)),
    cell("crowd-reload", "10,000 certificates: reload", Sites::One, Door::H1Tls, Work::Crowd(Crowd::Reload)),
    cell("crowd-memory", "10,000 certificates: memory", Sites::One, Door::H1Tls, Work::Crowd(Crowd::Memory)),
];

/// Asked at a constant rate too: shares of what the slowest peer can do.
pub const STEADY: &[&str] = &["h1-tls-browser", "h2-tls-browser"];
pub const STEADY_PERCENT: &[u32] = &[25, 50, 75];

/// The most that edgectl's cost may be, as a ratio to a peer's.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    pub cell: &'static str,
    pub peer: &'static str,
    pub max: f64,
}

const BARS: &[Bar] = &[
    bar("h1-plain-1k", "nginx", 1.10),
    bar("h1-tls-1k", "nginx", 0.95),
    bar("h2-tls-1k", "nginx", 0.85),
    bar("h1-tls-64k", "nginx", 0.80),
    bar("h2-tls-64k", "nginx", 0.80),
    bar("h1-tls-1m", "nginx", 0.80),
    bar("h2-tls-1m", "nginx", 0.80),
    bar("handshake", "nginx", 0.80),
    bar("idle-h1", "nginx", 1.60),
    bar("h1-tls-1k", "haproxy", 1.00),
    bar("h2-tls-1k", "haproxy", 1.25),
];

/// The bar of a cell towards a peer, where there is one.
pub fn bar_of(cell: &str, peer: &str) -> Option<f64> {
    BARS.iter().find(|bar| bar.cell == cell && bar.peer == peer).map(|bar| bar.max)
}

const fn cell(id: &'static str, label: &'static str, sites: Sites, door: Door, work: Work) -> Cell {
    Cell { id, label, sites, door, work }
}

const fn bar(cell: &'static str, peer: &'static str, max: f64) -> Bar {
    Bar { cell, peer, max }
}
