//! Lines as a reader gets them, and a disk that misbehaves.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::Value;

use super::time::TimeStamp;
use super::{AccessLog, Entry, WorkerLog, format};
use crate::config::{AccessFormat, AccessTarget, Log};
use crate::sink::{LogQueue, LogTarget};

const SOON: Duration = Duration::from_secs(10);

fn entry() -> Entry<'static> {
    Entry {
        time: UNIX_EPOCH + Duration::from_millis(1_769_860_800_123),
        request_id: "0195-id",
        client: IpAddr::from([203, 0, 113, 9]),
        method: "GET",
        host: "example.com",
        path: "/a",
        query: Some("page=2&token=abc"),
        protocol: "HTTP/2.0",
        tls: Some("1.3"),
        status: 200,
        bytes_in: 10,
        bytes_out: 2048,
        duration: Duration::from_micros(12_345),
        upstream: Some(Duration::from_micros(11_007)),
        site: Some("example.com"),
        route: Some("/"),
        service: Some("app"),
        color: Some("green"),
        backend: Some("10.0.0.7:8000"),
        attempts: 1,
        limited: None,
        error: None,
        user_agent: Some(b"curl/8"),
        referer: None,
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
    }
}

fn line(format: AccessFormat, entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    format::write(&mut out, format, entry, &mut TimeStamp::default());
    let line = String::from_utf8(out).unwrap();
    assert_eq!(line.find('\n'), Some(line.len() - 1), "one line");
    line.trim_end().to_owned()
}

fn log(path: &Path, rotate_size: u64, rotate_keep: usize) -> Log {
    Log {
        level: String::new(),
        access: AccessTarget::File(path.to_owned()),
        format: AccessFormat::Json,
        rotate_size,
        rotate_keep,
    }
}

fn dropped(log: &AccessLog) -> u64 {
    log.sink().map_or(0, LogQueue::dropped)
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::yield_now();
    }
}

#[test]
fn json_has_every_field_of_the_contract_in_its_order() {
    assert_eq!(
        line(AccessFormat::Json, &entry()),
        concat!(
            r#"{"time":"2026-01-31T12:00:00.123Z","request_id":"0195-id","client":"203.0.113.9","#,
            r#""method":"GET","host":"example.com","path":"/a","query":"page=2&token=***","#,
            r#""protocol":"HTTP/2.0","tls":"1.3","status":200,"bytes_in":10,"bytes_out":2048,"#,
            r#""duration_ms":12.345,"upstream_ms":11.007,"site":"example.com","route":"/","#,
            r#""service":"app","color":"green","backend":"10.0.0.7:8000","attempts":1,"#,
            r#""user_agent":"curl/8","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#
        )
    );
}

#[test]
fn nothing_that_a_client_sends_steers_a_terminal() {
    let hostile = "a\u{1b}[2J\u{9b}31m\u{85}\u{202e}b\u{2066}\u{200f}\u{2028}\u{7f}";
    let entry = Entry {
        method: hostile,
        host: hostile,
        path: hostile,
        query: Some(hostile),
        user_agent: Some(hostile.as_bytes()),
        referer: Some(hostile.as_bytes()),
        backend: Some(hostile),
        ..entry()
    };
    for format in [AccessFormat::Json, AccessFormat::Combined, AccessFormat::Pretty] {
        let line = line(format, &entry);
        assert!(!line.chars().any(crate::types::is_control), "{line:?}");
    }
    let json: Value = serde_json::from_str(&line(AccessFormat::Json, &entry)).unwrap();
    assert_eq!(json["path"], hostile, "and a reader of JSON gets what was sent");
    let plain = Entry { path: "/grüße/世界", ..entry };
    assert!(line(AccessFormat::Json, &plain).contains("/grüße/世界"));
}

#[test]
fn combined_is_nginx_s() {
    let entry = Entry { user_agent: Some(b"a\"b\n\xff"), ..entry() };
    assert_eq!(
        line(AccessFormat::Combined, &entry),
        r#"203.0.113.9 - - [31/Jan/2026:12:00:00 +0000] "GET /a?page=2&token=*** HTTP/2.0" 200 2048 "-" "a\x22b\x0A\xFF""#
    );
}

#[test]
fn pretty_is_for_people() {
    let entry = Entry { error: Some("connect_refused"), path: "/\u{1b}[2J", ..entry() };
    assert_eq!(
        line(AccessFormat::Pretty, &entry),
        r"12:00:00.123 200 GET example.com/\x1B[2J?page=2&token=*** 12.345ms app/green 10.0.0.7:8000 203.0.113.9 error=connect_refused"
    );
}

#[test]
fn lines_reach_the_file_and_close_waits_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&log(&path, 0, 0)).unwrap();
    let mut worker = log.worker();
    for _ in 0..1000 {
        worker.record(&entry());
    }
    worker.flush();
    assert!(log.close(SOON));
    assert_eq!((lines(&path), dropped(&log)), (1000, 0));
    worker.record(&entry());
    worker.flush();
    assert_eq!(dropped(&log), 1);
}

#[test]
fn dropping_a_worker_flushes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let log = AccessLog::open(&log(&path, 0, 0)).unwrap();
    log.worker().record(&entry());
    assert!(log.close(SOON));
    assert_eq!(lines(&path), 1);
}

#[test]
fn files_rotate_by_size_and_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let three_fit = line(AccessFormat::Json, &entry()).len() as u64 * 7 / 2;
    let log = AccessLog::open(&log(&path, three_fit, 2)).unwrap();
    let mut worker = log.worker();
    for _ in 0..12 {
        worker.record(&entry());
        worker.flush();
    }
    assert!(log.close(SOON));
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["access.log", "access.log.1", "access.log.2"]);
    for name in names {
        let path = dir.path().join(name);
        assert!(fs::metadata(&path).unwrap().len() <= three_fit && lines(&path) == 3);
    }
}

#[test]
fn a_device_is_never_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stdout");
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    let log = AccessLog::open(&log(&path, 1, 2)).unwrap();
    let mut worker = log.worker();
    for _ in 0..3 {
        worker.record(&entry());
        worker.flush();
    }
    assert!(log.close(SOON));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("/dev/null"));
}

#[test]
fn reopen_follows_an_outside_rotation() {
    let dir = tempfile::tempdir().unwrap();
    let (path, moved) = (dir.path().join("access.log"), dir.path().join("moved"));
    let log = AccessLog::open(&log(&path, 0, 0)).unwrap();
    let mut worker = log.worker();
    worker.record(&entry());
    worker.flush();
    wait_for(|| lines(&path) == 1);
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    wait_for(|| path.exists());
    worker.record(&entry());
    worker.flush();
    assert!(log.close(SOON));
    assert_eq!((lines(&path), lines(&moved)), (1, 1));
}

#[test]
fn off_records_nothing() {
    let mut config = log(Path::new("/"), 0, 0);
    config.access = AccessTarget::Off;
    let log = AccessLog::open(&config).unwrap();
    let mut worker = log.worker();
    assert!(!worker.is_on());
    worker.record(&entry());
    worker.flush();
    assert!(log.close(SOON));
    assert_eq!(dropped(&log), 0);
}

/// A disk that hangs until told to go on, then refuses everything.
#[derive(Debug)]
struct Stuck(mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_disk_never_blocks_and_what_is_lost_is_counted() {
    let (go_on, stuck) = mpsc::channel();
    let queue = LogQueue::start(LogTarget::test(Stuck(stuck)), 256).unwrap();
    let mut worker = WorkerLog::new(Some(queue.clone()), AccessFormat::Json);
    // More than the queue takes: this would hang if a full queue blocked.
    for _ in 0..1000 {
        worker.record(&entry());
        worker.flush();
    }
    assert!(queue.dropped() >= 1000 - 257);
    assert!(!queue.close(Duration::from_millis(1)));
    drop(go_on);
    assert!(queue.close(SOON));
    assert_eq!(queue.dropped(), 1000);
}

proptest! {
    /// Whatever a client sends, a line is one JSON object with the same values in it.
    #[test]
    fn every_line_parses_with_the_same_values(
        path in any::<String>(),
        host in "\\PC{0,40}",
        agent in prop::collection::vec(any::<u8>(), 0..100),
        status in any::<u16>(),
        bytes in any::<u64>(),
        micros in 0..u64::from(u32::MAX),
        client in any::<IpAddr>(),
    ) {
        let entry = Entry {
            path: &path,
            host: &host,
            user_agent: Some(&agent),
            status,
            bytes_out: bytes,
            duration: Duration::from_micros(micros),
            client,
            ..entry()
        };
        let address = client.to_string();
        let value: Value = serde_json::from_str(&line(AccessFormat::Json, &entry)).unwrap();
        prop_assert_eq!(value["path"].as_str(), Some(path.as_str()));
        prop_assert_eq!(value["host"].as_str(), Some(host.as_str()));
        prop_assert_eq!(value["user_agent"].as_str(), Some(&*String::from_utf8_lossy(&agent)));
        prop_assert_eq!(value["status"].as_u64(), Some(status.into()));
        prop_assert_eq!(value["bytes_out"].as_u64(), Some(bytes));
        prop_assert_eq!(value["duration_ms"].as_f64(), Some(micros as f64 / 1000.0));
        prop_assert_eq!(value["client"].as_str(), Some(address.as_str()));
    }

    /// No query and no referer breaks a line, in any format.
    #[test]
    fn any_query_is_one_line(query in any::<String>(), referer in prop::collection::vec(any::<u8>(), 0..60)) {
        let entry = Entry { query: Some(&query), referer: Some(&referer), ..entry() };
        serde_json::from_str::<Value>(&line(AccessFormat::Json, &entry)).unwrap();
        line(AccessFormat::Combined, &entry);
        line(AccessFormat::Pretty, &entry);
    }
}
