//! The same spellings, sent as they are through the daemon to real servers: WSGI, ASGI, Node, Go, nginx. `make paths` installs
//! them and runs this.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::spellings::spellings;
use crate::support::wait::wait_for_start;
use crate::support::{Client, Edge, Origin, Setup, wait_until};

/// Where `make paths` has put the servers: `venv`, `node_modules`, `mux`.
const FOLDER: &str = "EDGE_TEST_SERVERS";

/// Name and command; `APP` is the folder of the applications, `PORT` the port to listen on, `SELF` a folder of its own.
const SERVERS: [(&str, &str); 12] = [
    ("gunicorn", "venv/bin/gunicorn --chdir APP --bind 127.0.0.1:PORT --workers 2 plain:application"),
    ("waitress", "venv/bin/python -m waitress --host 127.0.0.1 --port PORT plain:application"),
    ("flask", "venv/bin/gunicorn --chdir APP --bind 127.0.0.1:PORT --workers 2 flask_app:application"),
    ("flask-threads", "venv/bin/python -m waitress --host 127.0.0.1 --port PORT flask_app:application"),
    ("django", "venv/bin/gunicorn --chdir APP --bind 127.0.0.1:PORT --workers 2 django_app:application"),
    ("starlette", "venv/bin/uvicorn --app-dir APP --host 127.0.0.1 --port PORT --log-level error asgi_app:application"),
    ("node", "node APP/http.js"),
    ("node-base", "node APP/http.js"),
    ("node-parse", "node APP/http.js"),
    ("express4", "node APP/express.js"),
    ("express5", "node APP/express.js"),
    ("go", "./mux"),
];

/// A server of one of these kinds, as a process of ours.
struct Server {
    name: &'static str,
    addr: SocketAddr,
    process: Child,
}

impl Server {
    fn start(name: &'static str, command: &str, own: &Path) -> Self {
        let folder = PathBuf::from(env::var_os(FOLDER).expect("EDGE_TEST_SERVERS: `make paths` sets it"));
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paths/apps");
        let words = command.split(' ').map(|word| {
            let word = word.replace("APP", apps.to_str().unwrap()).replace("PORT", &port.to_string());
            word.replace("SELF", own.to_str().unwrap())
        });
        let words: Vec<String> = words.collect();
        let program = if words[0].contains('/') { folder.join(&words[0]) } else { words[0].clone().into() };
        let mut command = Command::new(program);
        command.args(&words[1..]).current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("PORT", port.to_string()).env("PYTHONPATH", &apps).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("NAME", name).env("EXPRESS", folder.join("node_modules").join(name)).stderr(Stdio::null());
        let mut server = Self { name, addr: (Ipv4Addr::LOCALHOST, port).into(), process: command.spawn().expect(name) };
        wait_for_start(name, || {
            assert!(server.process.try_wait().unwrap().is_none(), "{name} has ended");
            TcpStream::connect(server.addr).is_ok()
        });
        server
    }

    /// nginx, whose config names its port and its folder.
    fn nginx(own: &Path) -> Self {
        let config = include_str!("apps/nginx.conf");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        for folder in ["secret", "open"] {
            fs::create_dir(own.join(folder)).unwrap();
            fs::write(own.join(folder).join("x"), folder).unwrap();
        }
        let config = config.replace("PORT", &port.to_string()).replace("FOLDER", own.to_str().unwrap());
        fs::write(own.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(own.join("nginx.conf")).arg("-p").arg(own).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("nginx");
        let server = Self { name: "nginx", addr: (Ipv4Addr::LOCALHOST, port).into(), process };
        wait_for_start("nginx", || TcpStream::connect(server.addr).is_ok());
        server
    }

    /// A service of that name, and three sites: without a rule, with one that denies, with a limit.
    fn sections(&self) -> String {
        let Self { name, addr, .. } = self;
        let site = |kind: &str, rule: &str| {
            let route = match rule {
                "" => String::new(),
                rule => format!("[[site.route]]\npath = \"/admin/\"\n{rule}\nservice = \"{name}\"\n"),
            };
            format!("[[site]]\nhosts = [\"{name}.{kind}.test\"]\ntls = \"off\"\nservice = \"{name}\"\n{route}")
        };
        [
            format!("[zone.{name}]\nkey = \"ip\"\nrate = \"1r/h\"\nburst = 0\n"),
            format!(
                "[service.{name}]\nbackends = [\"{addr}\"]\n[service.{name}.health]\nstatus = [\"2xx\", \"4xx\"]\n"
            ),
            site("open", ""),
            site("deny", "deny = [\"0.0.0.0/0\"]"),
            site("limit", &format!("limit = [\"{name}\"]")),
        ]
        .concat()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // gunicorn ends its workers when it is asked to end, and only then.
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client that connects again when it has to.
struct Asking<'a> {
    edge: &'a Edge,
    host: String,
    client: Client,
}

impl<'a> Asking<'a> {
    fn new(edge: &'a Edge, host: String) -> Self {
        Self { edge, client: Client::connect(edge.http(), &host), host }
    }

    /// Which handler has answered; `None`: none of the server's.
    fn handler(&mut self, path: &str) -> Option<String> {
        self.client.begin("GET", path, "");
        let answer = self.client.try_whole_answer();
        if answer.as_ref().is_none_or(|answer| answer.get("connection") == Some("close")) {
            self.client = Client::connect(self.edge.http(), &self.host);
        }
        answer.and_then(|answer| answer.get("x-handler").map(str::to_owned))
    }
}

#[test]
#[ignore = "needs servers: make paths"]
fn no_denied_path_is_answered_by_a_real_server() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin).limits("keepalive_requests = 100000");
    let own = setup.path("servers");
    fs::create_dir(&own).unwrap();
    let mut servers: Vec<Server> = SERVERS.iter().map(|(name, command)| Server::start(name, command, &own)).collect();
    servers.push(Server::nginx(&own));
    let sections: String = servers.iter().map(Server::sections).collect();
    let edge = setup.and(&sections).start();
    let spellings = spellings();
    let mut wrong = Vec::new();
    for Server { name, .. } in &servers {
        let [mut open, mut denied, mut limited] =
            ["open", "deny", "limit"].map(|kind| Asking::new(&edge, format!("{name}.{kind}.test")));
        wait_until(name, || open.handler("/admin/x").as_deref() == Some("admin"));
        let admin = |found: Option<String>| found.as_deref() == Some("admin");
        let reached = spellings.iter().filter(|path| admin(open.handler(path))).count();
        let answered: Vec<_> = spellings.iter().filter(|path| admin(denied.handler(path))).collect();
        let passed: Vec<_> = spellings.iter().filter(|path| admin(limited.handler(path))).collect();
        println!("{name}: of {} spellings {reached} reach the admin without a rule", spellings.len());
        assert!(reached > 100, "{name}: {reached}");
        wrong.extend(answered.iter().map(|path| format!("{name} has answered {path}, which is denied")));
        wrong.extend(passed.iter().skip(1).map(|path| format!("{name} has answered {path} beyond the limit")));
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}
