//! What the daemon writes its lines to can not hurt it: they are dropped and counted, and it serves on.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, mknodat};
use rustls::pki_types::ServerName;

use crate::support::wait::wait_within;
use crate::support::{Edge, Load, Origin, Setup, Signal, colors, seconds, wait_until};

/// What an output may be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// Nothing reads it any more.
    Gone,
    /// The reader takes one line and leaves: `| head -1`.
    Left,
    /// A disk without room.
    Full,
    /// The reader is there, and reads nothing.
    Stalled,
    /// The reader is slower than the lines come.
    Slow,
}

impl Output {
    /// What to give the daemon, and what has to live as long as it.
    fn open(self) -> (Stdio, Option<PipeReader>) {
        if self == Self::Full {
            return (File::options().write(true).open("/dev/full").unwrap().into(), None);
        }
        let (mut reader, writer) = small_pipe();
        match self {
            Self::Stalled => return (writer.into(), Some(reader)),
            Self::Gone | Self::Full => {}
            Self::Left => drop(std::thread::spawn(move || {
                let mut byte = [0];
                while reader.read(&mut byte).is_ok_and(|read| read > 0) && byte != [b'\n'] {}
            })),
            Self::Slow => drop(std::thread::spawn(move || {
                let mut some = [0; 256];
                while reader.read(&mut some).is_ok_and(|read| read > 0) {
                    std::thread::sleep(Duration::from_millis(20));
                }
            })),
        }
        (writer.into(), None)
    }
}

/// A pipe that holds one page.
fn small_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    (reader, writer)
}

/// The log of `setup`, with lines for everything that happens, and with this access log.
fn talkative(setup: &Setup, access: &str) -> String {
    let file = format!("access = \"{}\"", setup.path("access.log").display());
    let text = setup.text().replace(&file, &format!("access = {access:?}"));
    assert!(text.contains(access), "{text}");
    text.replace("[log]\n", "[log]\nlevel = \"debug\"\n")
}

fn dropped(edge: &Edge, sink: &str) -> f64 {
    edge.metric(&format!("edge_log_dropped_total{{sink={sink:?}}}"))
}

/// Handshakes that fail, each with lines in the log.
fn fail_handshakes(edge: &Edge, count: usize) {
    let hello = hello_for_an_address(edge);
    for _ in 0..count {
        let mut stream = TcpStream::connect(edge.https()).unwrap();
        stream.set_read_timeout(Some(seconds(10))).unwrap();
        stream.write_all(&hello).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

/// A ClientHello that asks for an IP address by name, which RFC 6066 forbids and libraries warn of.
fn hello_for_an_address(edge: &Edge) -> Vec<u8> {
    let config = edge.hello("app.test").config(&[b"http/1.1"]);
    let name = ServerName::try_from("192x0x2x1").unwrap();
    let mut hello = Vec::new();
    let mut client = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
    client.write_tls(&mut hello).unwrap();
    let at = hello.windows(9).position(|part| part == b"192x0x2x1").unwrap();
    hello[at..at + 9].copy_from_slice(b"192.0.2.1");
    hello
}

/// Serves under load, notices a backend that goes and comes, reloads, and ends when it is told to.
fn assert_unharmed(mut edge: Edge, blue: &Origin, sinks: &[&str]) {
    let load = Load::start(&edge);
    fail_handshakes(&edge, 300);
    load.runs_on();
    edge.signal(Signal::HUP);
    edge.admin(&["reload"]).ok();
    let is_up = |edge: &Edge| edge.status()["pools"][1]["backends"][0]["up"] == true;
    blue.set_health(503);
    wait_until("the backend to be down", || !is_up(&edge));
    blue.set_health(200);
    wait_until("the backend to be up again: its prober lives", || is_up(&edge));
    load.runs_on();
    for sink in sinks {
        wait_until(&format!("lines that {sink} did not take"), || dropped(&edge, sink) > 0.0);
    }
    load.finish();
    let told = Instant::now();
    edge.terminate();
    assert_eq!(edge.wait().code(), Some(0));
    assert!(told.elapsed() < seconds(8), "ended only after {:?}", told.elapsed());
}

/// Both streams are like this, the access log goes to one of them.
fn serves_with_streams(output: Output, sinks: &[&str]) {
    let (blue, green) = colors();
    let setup = Setup::colors(&blue, &green).health("interval = \"100ms\"").server("workers = 4");
    let text = talkative(&setup, "stdout");
    let ((stdout, _out), (stderr, _err)) = (output.open(), output.open());
    let edge = Edge::start_writing(setup.place.clone(), &text, stdout, stderr);
    assert_unharmed(edge, &green, sinks);
}

#[test]
fn outputs_whose_reader_is_gone_cost_lines_and_nothing_else() {
    serves_with_streams(Output::Gone, &["stderr", "stdout"]);
}

#[test]
fn outputs_whose_reader_leaves_after_a_line_cost_lines_and_nothing_else() {
    serves_with_streams(Output::Left, &["stderr", "stdout"]);
}

#[test]
fn outputs_on_a_full_disk_cost_lines_and_nothing_else() {
    serves_with_streams(Output::Full, &["stderr", "stdout"]);
}

#[test]
fn outputs_that_stall_cost_lines_and_nothing_else() {
    serves_with_streams(Output::Stalled, &["stderr"]);
}

#[test]
fn outputs_that_are_slow_cost_lines_and_nothing_else() {
    serves_with_streams(Output::Slow, &["stderr"]);
}

/// The access log is a file; the daemon's own log is read.
fn serves_with_access_log(make: impl FnOnce(&std::path::Path), sinks: &[&str]) {
    let (blue, green) = colors();
    let setup = Setup::colors(&blue, &green).health("interval = \"100ms\"");
    let path = setup.path("lines");
    make(&path);
    let text = setup.text().replace("access.log\"", "lines\"");
    let edge = Edge::start(setup.place.clone(), &text);
    assert_unharmed(edge, &green, sinks);
}

#[test]
fn an_access_log_on_a_full_disk_costs_lines_and_nothing_else() {
    serves_with_access_log(|path| symlink("/dev/full", path).unwrap(), &["access"]);
}

#[test]
fn an_access_log_into_a_fifo_that_nothing_reads_costs_lines_and_nothing_else() {
    serves_with_access_log(|path| mknodat(CWD, path, FileType::Fifo, 0o600.into(), 0).unwrap(), &[]);
}

#[test]
fn a_daemon_that_can_not_start_ends_with_its_code_although_nothing_reads_why() {
    for (config, code) in [("no toml", 2), ("[server]\nstate_dir = \"/dev/null/state\"\nadmin = \"/dev/null/a\"\n", 1)]
    {
        let setup = Setup::pool(&["127.0.0.1:1"]);
        let text = if code == 2 { config.to_owned() } else { setup.text().replace("/state\"", "/edge.toml/state\"") };
        for output in [Output::Gone, Output::Full, Output::Stalled] {
            std::fs::write(setup.path("edge.toml"), &text).unwrap();
            let (mut filled, writer) = small_pipe();
            let (stderr, _reader) = match output {
                Output::Stalled => {
                    (&writer).write_all(&[b'x'; 4096]).unwrap();
                    (writer.into(), Some(&mut filled))
                }
                other => (other.open().0, None),
            };
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"));
            command.args(["serve", "--config"]).arg(setup.path("edge.toml")).stdout(Stdio::null()).stderr(stderr);
            let mut daemon = command.spawn().unwrap();
            let ended = crate::support::wait_for("its end", || daemon.try_wait().unwrap());
            assert_eq!(ended.code(), Some(code), "{output:?}");
        }
    }
}

/// The lines of the log that contain `text`.
fn lines_with(log: &str, text: &str) -> usize {
    log.lines().filter(|line| line.contains(text)).count()
}

/// Ends the daemon, whose log then says what it has left out.
fn log_of(mut edge: Edge) -> String {
    edge.terminate();
    edge.wait();
    edge.stderr()
}

#[test]
fn a_backend_that_refuses_every_request_does_not_flood_the_log() {
    let (gone, other) = (Origin::start("gone"), Origin::start("other"));
    let setup = Setup::pool(&[gone.backend(), other.backend()]);
    let edge = setup.health("interval = \"1h\"\nmax_fails = 0").service("balance = \"round-robin\"").start();
    wait_until("both to be up", || {
        edge.status()["pools"][0]["backends"].as_array().unwrap().iter().all(|b| b["up"] == true)
    });
    gone.stop();
    let mut client = edge.plain();
    for _ in 0..400 {
        client.get("/");
    }
    let log = log_of(edge);
    // It is down after the first, so that there is little to say.
    let failed = lines_with(&log, "connect failed");
    assert!((1..=12).contains(&failed), "{failed} lines:\n{log}");
    assert_eq!(lines_with(&log, " ERROR "), 0, "{log}");
}

#[test]
fn clients_that_break_handshakes_do_not_flood_the_log() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    fail_handshakes(&edge, 200);
    let log = log_of(edge);
    assert!(log.lines().count() < 60, "{log}");
}

#[test]
fn a_balancer_that_sends_no_proxy_header_does_not_flood_the_log() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).server("proxy_protocol = [\"127.0.0.0/8\"]").start();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(edge.http()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: plain.test\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let count = "and 190 more like it in the last 10s";
    wait_within(seconds(15), "what was left out", || edge.stderr().contains(count).then_some(()));
    let log = log_of(edge);
    assert_eq!(lines_with(&log, "no PROXY header"), 11, "ten lines, and one that counts the others:\n{log}");
}
