//! Many sites with a certificate each: how long a start takes until one of them is served, how long a reload that adds one takes,
//! how much memory. A site is served when a handshake presents its own certificate; the site asked for is the last of the config.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

use super::Bench;
use crate::cells::Crowd;
use crate::load::tls::{Certificate, Client};
use crate::peers::sites::{CrowdFiles, Sites, covered, of_crowd};
use crate::peers::{Binary, Ground, PROBES, Peer};

/// The pause between two tries. A try costs the proxy little: without the certificate there is no handshake.
const TRY: Duration = Duration::from_millis(10);
/// Some proxies read a certificate in 4 ms on a busy machine: 40 s for 10,000.
const PATIENCE: Duration = Duration::from_mins(4);
/// The pause before memory is read.
const SETTLE: Duration = Duration::from_secs(1);

/// The three figures.
pub struct Taken {
    start: Duration,
    reload: Duration,
    memory_kib: u64,
}

impl Taken {
    /// In the unit of the cell.
    pub fn of(&self, figure: Crowd) -> f64 {
        match figure {
            Crowd::Start => self.start.as_secs_f64() * 1e3,
            Crowd::Reload => self.reload.as_secs_f64() * 1e3,
            Crowd::Memory => self.memory_kib as f64 / 1024.0,
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (start, reload, memory) = (self.of(Crowd::Start), self.of(Crowd::Reload), self.of(Crowd::Memory));
        write!(out, "start {start:.0} ms, reload {reload:.0} ms, {memory:.0} MiB")
    }
}

pub async fn take(binary: &Binary, files: &CrowdFiles, bench: &Bench) -> Result<Taken> {
    let ground = |count| {
        let certificate = Certificate::make(covered())?;
        let (origin, crowd) = (bench.origin.addr, files.folder.path().to_owned());
        anyhow::Ok(Ground { origin, certificate, sites: Sites::Crowd(count), crowd, probes: PROBES })
    };
    let (first, second) = (ground(files.count)?, ground(files.count + 1)?);
    let begun = Instant::now();
    let mut peer = binary.launch(&bench.cores.proxy.launcher(), &first)?;
    served(&mut peer, &of_crowd(files.count - 1), &files.last).await.context("after the start")?;
    let start = begun.elapsed();
    sleep(SETTLE).await;
    let memory_kib = peer.tree.pss_kib()?;

    let begun = Instant::now();
    peer.reload(&second)?;
    served(&mut peer, &of_crowd(files.count), &files.added).await.context("after the reload")?;
    let reload = begun.elapsed();
    peer.stop()?;
    Ok(Taken { start, reload, memory_kib })
}

/// Waits until the host is served with this certificate.
async fn served(peer: &mut Peer, host: &str, certificate: &Certificate) -> Result<()> {
    let client = Client::new(host, certificate)?;
    let begun = Instant::now();
    loop {
        peer.alive().with_context(|| peer.told())?;
        match client.h1(peer.tls.addr).await {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > PATIENCE => bail!("{host} is not served: {error:#}; {}", peer.told()),
            Err(_) => sleep(TRY).await,
        }
    }
}
