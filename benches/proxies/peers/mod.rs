//! The proxies: found, configured alike, started on their core, proven to do what they should, stopped.
//!
//! One file each for nginx, HAProxy and edgectl says its config; the features are the same for all, as the README lists
//! them. Every child gets SIGTERM when its `Peer` is dropped or the bench dies, and is killed if that is not enough.

mod edgectl;
mod haproxy;
mod nginx;
mod proof;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cells::Door;
use crate::cpu::{ProcessTree, ProxyCore};
use crate::load::Connector;
use crate::load::tls::{Certificate, Client};

/// Hosts of the site over TLS and of the one in the clear: edgectl serves a site either way, not both.
pub const TLS_HOST: &str = "bench.test";
pub const PLAIN_HOST: &str = "plain.test";

/// edgectl's preset `secure`, set by hand for the others.
const SECURITY_HEADERS: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
];
/// Over TLS only.
const HSTS: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    Edgectl,
    Nginx,
    Haproxy,
}

/// A proxy on this machine.
#[derive(Debug, Clone)]
pub struct Binary {
    pub kind: Kind,
    pub version: String,
    path: PathBuf,
}

/// A proxy that runs and answers; stopped when dropped.
pub struct Peer {
    pub kind: Kind,
    pub tree: ProcessTree,
    pub plain: Connector,
    pub tls: Connector,
    child: Child,
    folder: TempDir,
    /// The access log's name, less what rotation appends.
    log: &'static str,
}

/// What a config is written from.
struct Setting<'a> {
    origin: SocketAddr,
    plain: SocketAddr,
    tls: SocketAddr,
    metrics: SocketAddr,
    folder: &'a Path,
    version: &'a str,
}

/// A config file and how to start with it.
struct Recipe {
    file: &'static str,
    config: String,
    arguments: Vec<String>,
    log: &'static str,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Edgectl => "edgectl",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
        }
    }

    fn recipe(self, setting: &Setting) -> Recipe {
        match self {
            Kind::Edgectl => edgectl::recipe(setting),
            Kind::Nginx => nginx::recipe(setting),
            Kind::Haproxy => haproxy::recipe(setting),
        }
    }
}

impl Binary {
    /// Fails when there is none, for a peer that was asked for must not be missing from the figures.
    pub fn find(kind: Kind) -> Result<Binary> {
        let (path, flag) = match kind {
            Kind::Edgectl => (edgectl::binary(), "--version"),
            Kind::Nginx | Kind::Haproxy => (on_path(kind.name()), "-v"),
        };
        let path = path.with_context(|| match kind {
            Kind::Edgectl => "no release binary of edgectl: run `cargo build --release`, or set EDGECTL_BIN".to_owned(),
            _ => format!("no {0} on PATH or in the sbin folders: run `apt-get install {0}`", kind.name()),
        })?;
        let said = Command::new(&path).arg(flag).output().with_context(|| format!("cannot run {}", kind.name()))?;
        let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let version = said
            .split(|c: char| c.is_whitespace() || c == '/')
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let version = version.with_context(|| format!("{} told no version: {said:?}", kind.name()))?.to_owned();
        Ok(Binary { kind, version, path })
    }

    /// Starts it on the proxy's core and waits until it answers, then proves its features.
    pub async fn start(&self, core: ProxyCore, origin: SocketAddr, certificate: &Certificate) -> Result<Peer> {
        let mut peer = self.spawn(core, origin, certificate)?;
        let told = |peer: &Peer| format!("{} said: {}", peer.kind.name(), peer.last_words());
        proof::ready(&mut peer).await.with_context(|| told(&peer))?;
        proof::features(&peer).await.with_context(|| told(&peer))?;
        Ok(peer)
    }

    fn spawn(&self, core: ProxyCore, origin: SocketAddr, certificate: &Certificate) -> Result<Peer> {
        let folder = TempDir::with_prefix("edgectl-bench-").context("cannot make a folder for the proxy")?;
        // nginx's worker gives up root and must still get in.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::write(folder.path().join("cert.pem"), &certificate.cert)?;
        fs::write(folder.path().join("key.pem"), &certificate.key)?;
        fs::write(folder.path().join("both.pem"), format!("{}{}", certificate.cert, certificate.key))?;
        let [plain, tls, metrics] = free_ports()?;
        let setting = Setting { origin, plain, tls, metrics, folder: folder.path(), version: &self.version };
        let recipe = self.kind.recipe(&setting);
        fs::write(folder.path().join(recipe.file), &recipe.config)?;

        let child = Command::new("taskset")
            .args(["-c", &core.0.to_string()])
            .args(["setpriv", "--pdeathsig", "TERM", "--"])
            .arg(&self.path)
            .args(&recipe.arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("stdout.log"))?)
            .stderr(File::create(folder.path().join("stderr.log"))?)
            .spawn()
            .context("cannot run taskset and setpriv (util-linux)")?;
        let client = Client::new(TLS_HOST, certificate)?;
        Ok(Peer {
            kind: self.kind,
            tree: ProcessTree { root: child.id() },
            plain: Connector { addr: plain, tls: client.clone() },
            tls: Connector { addr: tls, tls: client },
            child,
            folder,
            log: recipe.log,
        })
    }
}

impl Peer {
    pub fn connector(&self, door: Door) -> &Connector {
        match door {
            Door::H1Plain => &self.plain,
            Door::H1Tls | Door::H2Tls => &self.tls,
        }
    }

    /// Stops it and counts the lines of its access log.
    pub fn stop(mut self) -> Result<usize> {
        self.end();
        let mut lines = 0;
        let log = self.folder.path().join(self.log);
        let name = log.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for entry in fs::read_dir(log.parent().unwrap_or(self.folder.path()))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&name) {
                lines += fs::read_to_string(entry.path())?.lines().count();
            }
        }
        Ok(lines)
    }

    /// Fails when the process has ended by itself.
    fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("ended by itself with {status}"),
            None => Ok(()),
        }
    }

    /// The end of what it wrote to stderr and its error log.
    fn last_words(&self) -> String {
        let mut words = String::new();
        for file in ["stderr.log", "error.log"] {
            words.push_str(&fs::read_to_string(self.folder.path().join(file)).unwrap_or_default());
        }
        let lines: Vec<&str> = words.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// SIGTERM and three seconds, then SIGKILL. Does nothing the second time.
    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let members = self.tree.members().unwrap_or_default();
        signal(self.child.id(), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // Not yet waited for, so the ids are still theirs.
                for pid in &members {
                    signal(*pid, Signal::KILL);
                }
                self.child.wait().ok();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.end();
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Gone already is as good.
        kill_process(pid, signal).ok();
    }
}

/// Three loopback ports that are free now.
fn free_ports() -> Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback");
    let held = [bind()?, bind()?, bind()?];
    Ok([held[0].local_addr()?, held[1].local_addr()?, held[2].local_addr()?])
}

/// Debian puts servers where a user's PATH does not look.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
