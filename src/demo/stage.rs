//! Where the demo plays: a private temporary folder with a config in it, and the daemon that serves from there.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::report::Step;
use crate::admin::AdminClient;
use crate::daemon::{self, ServeError};

/// The name in the certificate: every client resolves it to loopback.
pub(super) const HOST: &str = "localhost";

/// How long the daemon may take to be ready: two probes of each backend, and time to spare on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// The folder and the daemon in it.
pub(super) struct Stage {
    folder: TempDir,
    metrics: SocketAddr,
    stop: oneshot::Sender<()>,
    daemon: JoinHandle<Result<(), ServeError>>,
}

/// Where clients connect.
pub(super) struct DemoListener {
    pub addr: SocketAddr,
    /// The root that signed its certificate.
    pub ca: PathBuf,
}

impl DemoListener {
    pub fn url(&self) -> String {
        format!("https://{HOST}:{}/", self.addr.port())
    }
}

impl Stage {
    /// Writes the config and starts the daemon on a thread of its own.
    pub fn set(blue: SocketAddr, green: SocketAddr) -> Result<Self, String> {
        let cannot = |e: std::io::Error| format!("cannot set up the demo's folder: {e}; is TMPDIR writable?");
        let folder = tempfile::Builder::new().prefix("edgectl-demo-").tempdir().map_err(cannot)?;
        let metrics = free_address().map_err(cannot)?;
        let config = folder.path().join("edge.toml");
        std::fs::write(&config, edge_toml(folder.path(), metrics, blue, green)).map_err(cannot)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            daemon::serve_until(&config, async {
                let _ = stopped.await;
            })
        };
        // Ends when `strike` says so, or with a signal.
        let daemon = thread::Builder::new().name("demo-daemon".to_owned()).spawn(serve).map_err(cannot)?;
        Ok(Self { folder, metrics, stop, daemon })
    }

    /// Waits until the daemon serves.
    pub async fn open(&self) -> Result<DemoListener, String> {
        let deadline = Instant::now() + PATIENCE;
        while !self.admin().health().await.is_ok_and(|health| health.ready) {
            if self.daemon.is_finished() || Instant::now() >= deadline {
                return Err("the demo's daemon did not get ready".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let status = self.admin().status().await.map_err(|e| e.to_string())?;
        let addr = status.listeners.iter().find(|l| l.tls).and_then(|l| l.local);
        let addr = addr.ok_or("the demo's daemon has no TLS listener")?;
        Ok(DemoListener { addr, ca: self.folder.path().join("state/ca/root.pem") })
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.socket())
    }

    /// What to try by hand while the demo stays up.
    pub fn invitation(&self, listener: &DemoListener) -> Step {
        let program = std::env::current_exe().unwrap_or_else(|_| "edgectl".into());
        let edgectl = format!("{} --socket {}", program.display(), self.socket().display());
        Step::Stays {
            lines: vec![
                format!("curl --cacert {} {}", listener.ca.display(), listener.url()),
                format!("{edgectl} switch green"),
                format!("{edgectl} rollback"),
                format!("{edgectl} status"),
                format!("curl http://{}/metrics", self.metrics),
            ],
        }
    }

    /// Stops the daemon, then removes the folder. Returns the daemon's result.
    pub async fn strike(self) -> Result<(), String> {
        let _ = self.stop.send(());
        let ended = tokio::task::spawn_blocking(|| self.daemon.join()).await;
        drop(self.folder);
        match ended {
            Ok(Ok(result)) => result.map_err(|e| e.to_string()),
            _ => Err("the demo's daemon panicked".to_owned()),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }
}

/// The bound metrics port is shown nowhere, so it can't be 0; this one was free a moment ago.
fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn edge_toml(folder: &Path, metrics: SocketAddr, blue: SocketAddr, green: SocketAddr) -> String {
    let folder = folder.display();
    let mut text = String::new();
    let _ = write!(
        text,
        r#"# Made by `edgectl demo`; gone when it ends.
[server]
http = []
https = ["127.0.0.1:0"]
admin = '{folder}/admin.sock'
metrics = "{metrics}"
state_dir = '{folder}/state'
workers = 2
shutdown_timeout = "2s"

[log]
level = "error"
access = "off"

[service.app]
blue = ["{blue}"]
green = ["{green}"]

[service.app.health]
interval = "250ms"

[service.app.switch]
drain = "10m"                  # longer than any demo: nothing is cut

[[site]]
hosts = ["{HOST}"]
tls = "internal"
service = "app"
"#
    );
    text
}
