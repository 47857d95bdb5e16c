//! The config of a test's daemon: what every test needs, and only the lines that one test is about beside it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::edge::Edge;
use super::origin::Origin;

/// A config under construction. The methods add TOML lines to the section of their name.
///
/// Two sites on one service `app`: `plain.test` without TLS, and `app.test`, `other.test` and the daemon's own address
/// with a certificate of the internal CA.
pub struct Setup {
    pub place: Place,
    server: String,
    limits: String,
    service: String,
    health: String,
    switch: String,
    site: String,
    rest: String,
}

/// A folder and a loopback address that no other test has.
#[derive(Clone)]
pub struct Place {
    dir: Arc<TempDir>,
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub metrics: SocketAddr,
}

impl Setup {
    /// One pool.
    pub fn to(origin: &Origin) -> Self {
        Self::pool(&[origin.backend()])
    }

    pub fn pool(backends: &[&str]) -> Self {
        Self::new(&format!("backends = {backends:?}"))
    }

    pub fn colors(blue: &Origin, green: &Origin) -> Self {
        Self::blue_green(blue.backend(), green.backend())
    }

    pub fn blue_green(blue: &str, green: &str) -> Self {
        Self::pools(&[blue], &[green])
    }

    pub fn pools(blue: &[&str], green: &[&str]) -> Self {
        Self::new(&format!("blue = {blue:?}\ngreen = {green:?}"))
    }

    fn new(pools: &str) -> Self {
        Self {
            place: Place::new(),
            server: String::new(),
            limits: String::new(),
            service: format!("{pools}\n"),
            health: String::new(),
            switch: String::new(),
            site: String::new(),
            rest: String::new(),
        }
    }

    pub fn server(self, lines: &str) -> Self {
        Self { server: self.server + lines + "\n", ..self }
    }

    pub fn limits(self, lines: &str) -> Self {
        Self { limits: self.limits + lines + "\n", ..self }
    }

    pub fn service(self, lines: &str) -> Self {
        Self { service: self.service + lines + "\n", ..self }
    }

    pub fn health(self, lines: &str) -> Self {
        Self { health: self.health + lines + "\n", ..self }
    }

    pub fn switch(self, lines: &str) -> Self {
        Self { switch: self.switch + lines + "\n", ..self }
    }

    /// For both sites.
    pub fn site(self, lines: &str) -> Self {
        Self { site: self.site + lines + "\n", ..self }
    }

    /// Whole sections. `[[site.route]]` belongs to the TLS site, which comes last.
    pub fn and(self, sections: &str) -> Self {
        Self { rest: self.rest + sections + "\n", ..self }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    pub fn start(self) -> Edge {
        let text = self.text();
        Edge::start(self.place, &text)
    }

    pub fn text(&self) -> String {
        let Place { http, https, metrics, .. } = &self.place;
        let file = |name| self.place.path(name).display().to_string();
        let server = [
            format!("http = [\"{http}\"]"),
            format!("https = [\"{https}\"]"),
            format!("metrics = \"{metrics}\""),
            format!("admin = {:?}", file("admin.sock")),
            format!("state_dir = {:?}", file("state")),
            "workers = 2".to_owned(),
            "shutdown_timeout = \"1s\"".to_owned(),
        ];
        let log = [format!("access = {:?}", file("access.log"))];
        let health = ["interval = \"200ms\"", "rise = 1"].map(str::to_owned);
        [
            section("[server]", &server, &self.server),
            section("[limits]", &[], &self.limits),
            section("[log]", &log, ""),
            section("[service.app]", &[], &self.service),
            section("[service.app.health]", &health, &self.health),
            section("[service.app.switch]", &[], &self.switch),
            section("[[site]]", &site("\"plain.test\"", "off"), &self.site),
            section(
                "[[site]]",
                &site(&format!("\"app.test\", \"other.test\", \"{}\"", https.ip()), "auto"),
                &self.site,
            ),
            self.rest.clone(),
        ]
        .concat()
    }
}

fn site(hosts: &str, tls: &str) -> [String; 3] {
    [format!("hosts = [{hosts}]"), "service = \"app\"".to_owned(), format!("tls = \"{tls}\"")]
}

/// The test's own lines win over the defaults of the same key.
fn section(name: &str, defaults: &[String], own: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let says = |wanted: &str| own.lines().any(|line| key(line) == wanted);
    let kept = defaults.iter().filter(|line| !says(&key(line))).map(|line| format!("{line}\n"));
    format!("{name}\n{}{own}\n", kept.collect::<String>())
}

impl Place {
    pub fn new() -> Self {
        let ip = own_address();
        // All three are held at once, so that they differ. They are free a moment later, on an address that no other test has.
        let held = [(); 3].map(|()| TcpListener::bind((ip, 0)).unwrap());
        let [http, https, metrics] = held.each_ref().map(|listener| listener.local_addr().unwrap());
        Self { dir: Arc::new(tempfile::tempdir().unwrap()), http, https, metrics }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// An address from 127.16.0.0 up, different for each process and call: tests run side by side, in one process or in many.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = (std::process::id() << 4).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let [_, b, c, d] = (number % 0x00e0_0000 + 0x0010_0000).to_be_bytes();
    Ipv4Addr::new(127, b, c, d)
}
