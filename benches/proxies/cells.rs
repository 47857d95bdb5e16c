//! What is measured, and how good it must be: the list of cells and the bars on them.
//!
//! A cell has a fixed number of requests, so that a slow proxy does the same work as a fast one. Counts are chosen for
//! about a second of CPU or more per cell and round; `--quick` divides them.

use serde::Serialize;

/// One figure to take of each proxy.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    pub id: &'static str,
    pub label: &'static str,
    pub door: Door,
    pub kind: Kind,
    /// Requests, handshakes or idle connections.
    pub count: usize,
}

/// The way into the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    H1Plain,
    H1Tls,
    H2Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Requests over connections that stay open.
    Requests(Page),
    /// A new connection, a full handshake and one small request each.
    Handshakes,
    /// Connections that made one request and then say nothing.
    Idle,
}

/// What the origin serves: a path and the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub path: &'static str,
    pub len: usize,
}

pub const KIB_1: Page = Page { path: "/1k", len: 1 << 10 };
pub const KIB_64: Page = Page { path: "/64k", len: 64 << 10 };
pub const MIB_1: Page = Page { path: "/1m", len: 1 << 20 };

/// The unit of a cell's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    #[serde(rename = "cpu_us_per_request")]
    MicrosPerRequest,
    #[serde(rename = "cpu_us_per_handshake")]
    MicrosPerHandshake,
    #[serde(rename = "kib_per_connection")]
    KibPerConnection,
}

impl Unit {
    pub fn short(self) -> &'static str {
        match self {
            Unit::MicrosPerRequest | Unit::MicrosPerHandshake => "µs",
            Unit::KibPerConnection => "KiB",
        }
    }
}

impl Cell {
    pub fn unit(&self) -> Unit {
        match self.kind {
            Kind::Requests(_) => Unit::MicrosPerRequest,
            Kind::Handshakes => Unit::MicrosPerHandshake,
            Kind::Idle => Unit::KibPerConnection,
        }
    }

    /// The page that this cell asks for.
    pub fn page(&self) -> Page {
        match self.kind {
            Kind::Requests(page) => page,
            Kind::Handshakes | Kind::Idle => KIB_1,
        }
    }
}

pub const CELLS: &[Cell] = &[
    cell("h1-plain-1k", "h1 plain, 1 KiB", Door::H1Plain, Kind::Requests(KIB_1), 60_000),
    cell("h1-tls-1k", "h1 TLS, 1 KiB", Door::H1Tls, Kind::Requests(KIB_1), 50_000),
    cell("h2-tls-1k", "h2 TLS, 1 KiB", Door::H2Tls, Kind::Requests(KIB_1), 60_000),
    cell("h1-plain-64k", "h1 plain, 64 KiB", Door::H1Plain, Kind::Requests(KIB_64), 15_000),
    cell("h1-tls-64k", "h1 TLS, 64 KiB", Door::H1Tls, Kind::Requests(KIB_64), 12_000),
    cell("h2-tls-64k", "h2 TLS, 64 KiB", Door::H2Tls, Kind::Requests(KIB_64), 12_000),
    cell("h1-plain-1m", "h1 plain, 1 MiB", Door::H1Plain, Kind::Requests(MIB_1), 1500),
    cell("h1-tls-1m", "h1 TLS, 1 MiB", Door::H1Tls, Kind::Requests(MIB_1), 1000),
    cell("h2-tls-1m", "h2 TLS, 1 MiB", Door::H2Tls, Kind::Requests(MIB_1), 1000),
    cell("handshake", "full TLS handshake", Door::H1Tls, Kind::Handshakes, 4000),
    cell("idle-h1", "idle TLS connection, h1", Door::H1Tls, Kind::Idle, 1000),
    cell("idle-h2", "idle TLS connection, h2", Door::H2Tls, Kind::Idle, 1000),
];

/// The most that edgectl's cost may be, as a ratio to a peer's.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    pub cell: &'static str,
    pub peer: &'static str,
    pub max: f64,
}

pub const BARS: &[Bar] = &[
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

const fn cell(id: &'static str, label: &'static str, door: Door, kind: Kind, count: usize) -> Cell {
    Cell { id, label, door, kind, count }
}

const fn bar(cell: &'static str, peer: &'static str, max: f64) -> Bar {
    Bar { cell, peer, max }
}
