//! The daemon itself, as a process: started, asked, ended; its log is shown when a test fails.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Answer, Client};
use super::h2::H2;
use super::setup::Place;
use super::tls::{self, Hello};
use super::wait::{wait_for, wait_for_start, wait_until};

/// A running daemon. Dropping it ends it with SIGTERM and checks that it ended well.
pub struct Edge {
    place: Place,
    process: Child,
    /// Whether strace runs it. strace holds a thread that it delays, even one that was killed.
    is_traced: bool,
    ended: Option<ExitStatus>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Edge {
    /// Starts and waits until it is ready.
    pub fn start(place: Place, config: &str) -> Self {
        let mut edge = Self::spawn(place, config);
        edge.wait_ready();
        edge
    }

    /// Starts and waits for nothing.
    pub fn spawn(place: Place, config: &str) -> Self {
        fs::write(place.path("edge.toml"), config).unwrap();
        let process = Self::serve(&place, &[]);
        Self { place, process, is_traced: false, ended: None }
    }

    /// Starts it where it is expected to end by itself; ends it otherwise.
    pub fn run_to_end(place: &Place, config: &str) -> Ran {
        let mut edge = Self::spawn(place.clone(), config);
        let status = wait_for("the daemon to refuse to start", || edge.try_wait());
        Ran { code: status.code(), stdout: String::new(), stderr: edge.stderr() }
    }

    /// Starts it with outputs that the test chooses, and waits until it is ready. What it says is not read.
    pub fn start_writing(place: Place, config: &str, stdout: Stdio, stderr: Stdio) -> Self {
        fs::write(place.path("edge.toml"), config).unwrap();
        let process = Self::command_to_serve(&place, &[]).stdout(stdout).stderr(stderr).spawn().unwrap();
        let mut edge = Self { place, process, is_traced: false, ended: None };
        edge.wait_ready();
        edge
    }

    /// Starts it so that [`Edge::fail_task`] can make its tasks fail.
    pub fn start_fallible(place: Place, config: &str) -> Self {
        fs::write(place.path("edge.toml"), config).unwrap();
        fs::create_dir(place.path("faults")).unwrap();
        let mut command = Self::command_to_serve(&place, &[]);
        command.env("EDGE_TEST_FAULTS", place.path("faults")).stdout(Stdio::null()).stderr(Self::stderr_of(&place));
        let mut edge = Self { process: command.spawn().unwrap(), place, is_traced: false, ended: None };
        edge.wait_ready();
        edge
    }

    /// Makes one of the daemon's tasks of this name panic, or return; waits until it has been started again.
    pub fn fail_task(&self, task: &str, how: &str) {
        let restarts = format!("edge_task_restarts_total{{task={task:?}}}");
        let before = self.metric(&restarts);
        fs::write(self.path("faults").join(format!("{task}.{how}")), "").unwrap();
        // The task that answers may be the one.
        let is_back = || self.try_metric(&restarts).is_some_and(|now| now > before);
        wait_until(&format!("{task} to be started again after {how}"), is_back);
    }

    fn serve(place: &Place, under: &[&str]) -> Child {
        let mut command = Self::command_to_serve(place, under);
        command.stdout(Stdio::null()).stderr(Self::stderr_of(place)).spawn().unwrap()
    }

    fn command_to_serve(place: &Place, under: &[&str]) -> Command {
        let words = [under, &[env!("CARGO_BIN_EXE_edgectl"), "serve", "--config"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(place.path("edge.toml"));
        command
    }

    fn stderr_of(place: &Place) -> File {
        File::options().create(true).append(true).open(place.path("stderr")).unwrap()
    }

    pub fn wait_ready(&mut self) {
        wait_for_start("/readyz", || {
            assert!(self.try_wait().is_none(), "the daemon has ended:\n{}", self.stderr());
            self.ready() == Some(200)
        });
    }

    /// What `/readyz` answers; `None`: nothing listens.
    pub fn ready(&self) -> Option<u16> {
        self.observe("/readyz").map(|answer| answer.status)
    }

    pub fn metrics_addr(&self) -> SocketAddr {
        self.place.metrics
    }

    fn observe(&self, path: &str) -> Option<Answer> {
        let stream = std::net::TcpStream::connect(self.place.metrics).ok()?;
        let mut client = Client::on(stream, "localhost");
        client.begin("GET", path, "Connection: close\r\n");
        client.try_whole_answer()
    }

    /// The sum of a metric's samples whose line starts with `name`.
    pub fn metric(&self, name: &str) -> f64 {
        self.try_metric(name).expect("metrics")
    }

    /// `None`: there is no whole answer.
    fn try_metric(&self, name: &str) -> Option<f64> {
        let text = self.observe("/metrics")?.text();
        let samples = text.lines().filter(|line| line.starts_with(name));
        Some(samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum())
    }

    /// A plain connection, for `plain.test`.
    pub fn plain(&self) -> Client {
        Client::connect(self.place.http, "plain.test")
    }

    /// HTTP/1.1 over TLS.
    pub fn tls(&self, host: &str) -> Client {
        self.hello(host).connect().unwrap_or_else(|error| panic!("{host}: {error}"))
    }

    /// HTTP/2 over TLS.
    pub fn h2(&self, host: &str) -> H2 {
        H2::connect(&self.hello(host))
    }

    /// A handshake that the test shapes.
    pub fn hello(&self, host: &str) -> Hello {
        Hello::new(self.place.https, host, tls::roots(&self.place.path("state/ca/root.pem")))
    }

    /// One request on a connection of its own, plain.
    pub fn get(&self, path: &str) -> Answer {
        self.plain().get(path)
    }

    pub fn http(&self) -> SocketAddr {
        self.place.http
    }

    pub fn https(&self) -> SocketAddr {
        self.place.https
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A command to this daemon, over its admin socket.
    pub fn admin(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// The same command, which the test runs itself.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command.args(arguments).arg("--socket").arg(self.path("admin.sock"));
        command
    }

    /// The admin API, as curl would speak to it.
    pub fn api(&self) -> Client {
        Client::on(std::os::unix::net::UnixStream::connect(self.path("admin.sock")).unwrap(), "edge")
    }

    /// The one service's status.
    pub fn status(&self) -> Value {
        self.admin(&["status", "--json"]).json()["services"][0].clone()
    }

    /// What the history says, oldest first.
    pub fn history(&self) -> Vec<Value> {
        self.admin(&["history", "--json", "-n", "1000"]).ok().json()["records"].as_array().unwrap().clone()
    }

    /// The latest record of an action with that result, waited for.
    pub fn recorded(&self, action: &str, result: &str) -> Value {
        let is_it = |record: &Value| record["action"] == action && record["result"] == result;
        wait_for(&format!("{action} {result} in the history"), || self.history().into_iter().rev().find(is_it))
    }

    #[allow(dead_code, reason = "for the tests of reloading")]
    /// The config file anew, put in place by a rename as an editor does it. Does not wait until it is taken up.
    pub fn rewrite(&self, config: &str) {
        replace(&self.path("edge.toml"), config);
    }

    /// The daemon's own log so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// Waits until the daemon has logged `text`.
    pub fn said(&self, text: &str) {
        wait_until(&format!("{text:?} in the log"), || self.stderr().contains(text));
    }

    /// The access log's lines so far.
    pub fn access_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("access.log")).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// The access log's line of one request, waited for.
    pub fn logged(&self, request_id: &str) -> Value {
        wait_for(&format!("request {request_id} in the access log"), || {
            self.access_log().into_iter().find(|line| line["request_id"] == request_id)
        })
    }

    /// The access log's latest line for a path, waited for.
    pub fn logged_path(&self, path: &str) -> Value {
        wait_for(&format!("{path} in the access log"), || {
            self.access_log().into_iter().rev().find(|line| line["path"] == path)
        })
    }

    /// Resident memory, in MiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Memory that is the process's own, in KiB, as the kernel counts it page by page: `VmRSS` is a sum that lags.
    pub fn anonymous_memory(&self) -> u64 {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).unwrap();
        let line = rollup.lines().find(|line| line.starts_with("Anonymous:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let _ = kill_process(pid, signal);
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// `None` while it runs.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.process.try_wait().unwrap();
        }
        self.ended
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the daemon's end", || self.try_wait())
    }

    /// Ends it as a power cut would, and leaves its files.
    pub fn kill(&mut self) {
        self.kill_now();
        self.wait();
    }

    fn kill_now(&self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")?.trim().parse().ok());
        self.signal(Signal::KILL);
        if let Some(tracer) = tracer.and_then(Pid::from_raw).filter(|_| self.is_traced) {
            let _ = kill_process(tracer, Signal::KILL);
        }
    }

    /// Starts it again on the same files, after it has ended.
    pub fn start_again(&mut self) {
        self.start_again_under(&[]);
    }

    /// Starts it again on the same files, under a program that may end it at any moment; waits for nothing.
    pub fn spawn_again_under(&mut self, program: &[&str]) {
        self.spawn_again(program);
    }

    /// Starts it again through a program that becomes the daemon and keeps its process id.
    pub fn start_again_under(&mut self, program: &[&str]) {
        self.spawn_again(program);
        self.wait_ready();
    }

    /// Starts it again where `/readyz` does not say that it is ready: paused, or in maintenance.
    pub fn start_again_unready(&mut self) {
        self.spawn_again(&[]);
        wait_for_start("the admin socket", || self.admin(&["health"]).code == Some(0));
    }

    fn spawn_again(&mut self, program: &[&str]) {
        self.wait();
        self.process = Self::serve(&self.place, program);
        self.is_traced = program.first() == Some(&"strace");
        self.ended = None;
    }
}

impl Ran {
    /// What was printed, as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Ended with exit code 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let by_us = self.try_wait().is_none();
        self.terminate();
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while self.try_wait().is_none() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.try_wait();
        if status.is_none() {
            self.kill_now();
            let _ = self.process.wait();
        }
        let log = self.stderr();
        if std::thread::panicking() {
            let access = fs::read_to_string(self.path("access.log")).unwrap_or_default();
            eprintln!("--- the daemon's log\n{log}--- its access log, the end\n{}", tail(&access, 20));
            return;
        }
        let is_bug = |line: &str| line.contains("panicked") && !line.contains("a fault that a test has asked for");
        assert!(!log.lines().any(is_bug), "the daemon panicked:\n{log}");
        assert!(!by_us || status.is_some_and(|s| s.success()), "the daemon did not end well: {status:?}\n{log}");
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let mut errors = child.stderr.take().unwrap();
    let reading = std::thread::spawn(move || {
        errors.read_to_string(&mut stderr).unwrap();
        stderr
    });
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let code = child.wait().unwrap().code();
    Ran { code, stdout, stderr: reading.join().unwrap() }
}

/// Writes beside the file, then renames over it.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    fs::write(&beside, content).unwrap();
    fs::rename(&beside, path).unwrap();
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
