//! Pebble, the authority that Let's Encrypt tests its clients with, and the name server that it asks: real peers, from
//! Debian's package `pebble`.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::client::Client;
use super::setup::{Place, own_address};
use super::tls::Identity;
use super::tools::is_there;
use super::wait::wait_for_start;

/// The authority with its name server; both end when it is dropped.
pub struct Pebble {
    dir: TempDir,
    identity: Identity,
    config: PathBuf,
    addr: SocketAddr,
    management: SocketAddr,
    pub names: Names,
    process: Option<Child>,
}

/// Answers every name with the daemon's address, and TXT records as a hook sets them.
pub struct Names {
    pub dns: SocketAddr,
    management: SocketAddr,
    process: Child,
}

impl Pebble {
    /// Starts one that validates where this place's daemon listens. `None`, with a notice, where it is not installed; CI has it.
    pub fn start(place: &Place) -> Option<Self> {
        Self::start_with(place, "")
    }

    /// With more keys in its config.
    pub fn start_with(place: &Place, more: &str) -> Option<Self> {
        if !is_there("pebble") || !is_there("pebble-challtestsrv") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let [addr, management] = addresses(own_address().into());
        let identity = Identity::for_names(&[&addr.ip().to_string()]);
        identity.write(&dir.path().join("cert.pem"), &dir.path().join("key.pem"));
        let config = dir.path().join("pebble.json");
        let file = |name: &str| dir.path().join(name).display().to_string();
        let text = format!(
            r#"{{"pebble": {{"listenAddress": "{addr}", "managementListenAddress": "{management}",
            "certificate": "{}", "privateKey": "{}", "httpPort": {}, "tlsPort": {},
            "ocspResponderURL": ""{more}}}}}"#,
            file("cert.pem"),
            file("key.pem"),
            place.http.port(),
            place.https.port(),
        );
        fs::write(&config, text).unwrap();
        let names = Names::start(place.http.ip());
        let mut pebble = Self { dir, identity, config, addr, management, names, process: None };
        pebble.up();
        Some(pebble)
    }

    /// Starts it; it remembers nothing of an earlier run.
    pub fn up(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = Command::new("pebble");
        command.arg("-config").arg(&self.config).args(["-dnsserver", &self.names.dns.to_string()]);
        command.env("PEBBLE_VA_NOSLEEP", "1").stdout(log).stderr(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        wait_for_start("pebble", || TcpStream::connect(self.addr).is_ok());
    }

    pub fn down(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.addr)
    }

    /// `[acme]` for it, with these lines.
    pub fn section(&self, lines: &str) -> String {
        section(&self.directory(), &self.dir.path().join("cert.pem"), lines)
    }

    pub fn resolvers(&self) -> String {
        self.names.resolvers()
    }

    /// Its root, for clients.
    pub fn root(&self) -> String {
        let cert = self.dir.path().join("cert.pem");
        fs::write(&cert, &self.identity.cert_pem).unwrap();
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--cacert"]).arg(cert).arg(format!("https://{}/roots/0", self.management));
        String::from_utf8(curl.output().unwrap().stdout).unwrap()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.down();
        if std::thread::panicking() {
            eprintln!("--- pebble\n{}", self.log());
        }
    }
}

impl Names {
    pub fn start(answer: IpAddr) -> Self {
        let [dns, management] = addresses(own_address().into());
        let mut command = Command::new("pebble-challtestsrv");
        command.args(["-dns01", &dns.to_string(), "-management", &management.to_string()]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        command.args(["-defaultIPv4", &answer.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait_for_start("challtestsrv", || TcpStream::connect(management).is_ok());
        Self { dns, management, process }
    }

    pub fn resolvers(&self) -> String {
        format!("resolvers = [\"{}\"]", self.dns)
    }

    /// Asks the management interface: `add-a`, `add-aaaa`, `add-caa`, `set-servfail`.
    pub fn set(&self, verb: &str, body: &Value) {
        let answer = Client::connect(self.management, "management").post(&format!("/{verb}"), &body.to_string());
        assert_eq!(answer.status, 200, "{verb} {body}");
    }

    /// A program for `dns_hook` in `folder`; its calls are in `hook.log` beside it.
    pub fn hook(&self, folder: &Path) -> PathBuf {
        let (hook, log, management) = (folder.join("hook"), folder.join("hook.log"), self.management);
        let text = format!(
            "#!/bin/sh\necho \"$1 $2 $3\" >>{}\n\
             case $1 in present) at=set-txt ;; cleanup) at=clear-txt ;; *) exit 2 ;; esac\n\
             exec curl -sSf -d '{{\"host\":\"'$2'.\",\"value\":\"'$3'\"}}' http://{management}/$at\n",
            log.display()
        );
        fs::write(&hook, text).unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
        hook
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `[acme]` for a directory with a certificate of its own.
pub fn section(directory: &str, ca_file: &Path, lines: &str) -> String {
    format!(
        "[acme]\nemail = \"ops@shop.example\"\ndirectory = {directory:?}\nca_file = \"{}\"\n{lines}\n",
        ca_file.display()
    )
}

/// Two addresses that are free.
fn addresses(ip: IpAddr) -> [SocketAddr; 2] {
    let held = [(); 2].map(|()| TcpListener::bind((ip, 0)).unwrap());
    held.each_ref().map(|listener| listener.local_addr().unwrap())
}
