//! The sites that all proxies are configured with, alike. Each proxy's file says how it writes them.
//!
//! One over TLS and one in the clear; or ten over TLS beside that, each with two hosts, a service and a rate-limit zone of its own, and
//! four routes: `/api/` with a second zone, `/static/` without any, `/admin/` for some networks alone, `/old/` that redirects; or a
//! crowd, each with a certificate of its own.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::load::Door;
use crate::load::tls::Certificate;

/// edgectl serves a site over TLS or in the clear, not both.
pub const TLS_HOST: &str = "bench.test";
pub const PLAIN_HOST: &str = "plain.test";
/// Which of the ten sites is asked for: neither the first nor the last.
const ASKED: &str = "s6.bench.test";
const TEN: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sites {
    One,
    Ten,
    /// So many.
    Crowd(usize),
}

impl Sites {
    /// The host that is asked for at a listener.
    pub fn host(self, door: Door) -> &'static str {
        match (door, self) {
            (Door::H1Plain, _) => PLAIN_HOST,
            (_, Sites::One | Sites::Crowd(_)) => TLS_HOST,
            (_, Sites::Ten) => ASKED,
        }
    }
}

/// The two hosts of each of the ten.
pub fn ten() -> impl Iterator<Item = [String; 2]> {
    (0..TEN).map(|at| [format!("s{at}.bench.test"), format!("www.s{at}.bench.test")])
}

/// Every host that the certificate of one site, and of ten, must cover.
pub fn covered() -> Vec<String> {
    [TLS_HOST.to_owned()].into_iter().chain(ten().flatten()).collect()
}

/// A host of the crowd.
pub fn of_crowd(number: usize) -> String {
    format!("c{number}.bench.test")
}

/// The crowd's certificates and keys, in a folder that all proxies read.
pub struct CrowdFiles {
    pub folder: TempDir,
    /// Sites at the start. There is a certificate for one more, which a reload adds.
    pub count: usize,
    /// Of the last site at the start, and of the one that is added.
    pub last: Certificate,
    pub added: Certificate,
}

impl CrowdFiles {
    pub fn make(count: usize) -> Result<CrowdFiles> {
        let folder = TempDir::with_prefix("edgectl-crowd-").context("cannot make a folder for the crowd")?;
        let make = |number| {
            let certificate = Certificate::make(vec![of_crowd(number)])?;
            let [cert, key, both] = files_of(folder.path(), number);
            fs::write(cert, &certificate.cert)?;
            fs::write(key, &certificate.key)?;
            fs::write(both, format!("{}{}", certificate.cert, certificate.key))?;
            anyhow::Ok(certificate)
        };
        for number in 0..count - 1 {
            make(number)?;
        }
        let (last, added) = (make(count - 1)?, make(count)?);
        Ok(CrowdFiles { folder, count, last, added })
    }
}

/// Certificate, key, and both in one file, of a site of the crowd.
pub fn files_of(folder: &Path, number: usize) -> [String; 3] {
    ["cert", "key", "pem"].map(|end| folder.join(format!("c{number}.{end}")).display().to_string())
}
