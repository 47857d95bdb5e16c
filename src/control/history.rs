//! Who did what, when, why, and what came of it: JSON lines in `state_dir/history.jsonl`, only ever appended.
//!
//! What is in a line is here; the files, and how they make room, are in `journal`.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::journal::{FULL, Journal};
use super::operation::{DrainReport, Verdict};
use super::users::user_name;
use crate::types::Color;

/// The file, and those it was before. Appending blocks on the disk.
#[derive(Debug)]
pub struct History(Journal);

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub time: Timestamp,
    pub service: String,
    pub action: Action,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Color>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Color>,
    /// The one before, where this has changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_generation: Option<u64>,
    pub generation: u64,
    /// Of an operation as in `Done`, or `refused`, `conflict`, `failed`; of a watch `passed`, `inconclusive`, `rolled-back`,
    /// `failed`, `ended`; of a drain `drained`, `cancelled`; `failover`, `fallback`, `recovered`; of a restart `unrecorded`,
    /// and `kept` of the canary that it has found.
    pub result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainReport>,
    /// The canary's share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// How long a switch is to be watched: a start that finds no verdict of it knows that it ended the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Switch,
    Rollback,
    Drain,
    Watch,
    Canary,
    Pause,
    Resume,
    Maintenance,
    Preview,
    Failover,
    Restart,
}

/// The process on the other end of the admin socket, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub uid: u32,
    /// As it was called then, where the daemon runs; left out when it has no name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

impl Actor {
    /// Looks the name up: reads a file.
    pub fn new(uid: u32, pid: Option<i32>) -> Self {
        Self { uid, user: user_name(uid), pid }
    }
}

/// `deploy (uid 1000, pid 42)`, or `uid 1000 (pid 42)`.
impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { uid, user, pid } = self;
        match (user, pid) {
            (Some(user), Some(pid)) => write!(f, "{user} (uid {uid}, pid {pid})"),
            (Some(user), None) => write!(f, "{user} (uid {uid})"),
            (None, Some(pid)) => write!(f, "uid {uid} (pid {pid})"),
            (None, None) => write!(f, "uid {uid}"),
        }
    }
}

impl History {
    pub fn open(folder: &Path) -> io::Result<Self> {
        Journal::open(folder.join("history.jsonl"), FULL).map(Self)
    }

    /// One line, on disk when this returns.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.append(&line)
    }

    /// The last `count` records of a service, or of all, oldest first. A line that was torn by a crash is passed over.
    pub fn last(&self, service: Option<&str>, count: usize) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for file in self.0.files()? {
            if records.len() >= count {
                break;
            }
            // By bytes: a torn line need not be text.
            let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
            let parsed = lines.filter_map(|line| serde_json::from_slice(&line).ok());
            let mut older: Vec<_> =
                parsed.filter(|record: &Record| service.is_none_or(|name| record.service == name)).collect();
            older.append(&mut records);
            records = older;
        }
        Ok(records.split_off(records.len().saturating_sub(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(generation: u64) -> Record {
        Record {
            time: Timestamp::UNIX_EPOCH,
            service: "app".to_owned(),
            action: Action::Switch,
            actor: Actor { uid: 0, user: None, pid: None },
            reason: Some("für alle".to_owned()),
            from: None,
            to: Some(Color::Green),
            generation,
            result: "switched".to_owned(),
            detail: None,
            gate_ms: None,
            flip_us: None,
            drain: None,
            from_generation: None,
            percent: None,
            watch_ms: None,
            verdict: None,
        }
    }

    #[test]
    fn a_torn_line_costs_no_other_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        History::open(folder.path()).unwrap().append(&record(2)).unwrap();
        // Torn within "ü".
        let whole = std::fs::read(&path).unwrap();
        let torn = whole.iter().position(|byte| *byte == 0xc3).unwrap() + 1;
        std::fs::write(&path, [&whole[..], &whole[..torn]].concat()).unwrap();
        let history = History::open(folder.path()).unwrap();
        history.append(&record(3)).unwrap();
        let generations: Vec<u64> = history.last(Some("app"), 10).unwrap().iter().map(|r| r.generation).collect();
        assert_eq!(generations, [2, 3]);
    }

    #[test]
    fn the_last_are_found_across_files() {
        let folder = tempfile::tempdir().unwrap();
        let history = History(Journal::open(folder.path().join("history.jsonl"), 300).unwrap());
        for generation in 1..=10 {
            history
                .append(&Record { service: ["app", "shop"][generation as usize % 2].into(), ..record(generation) })
                .unwrap();
        }
        assert!(folder.path().join("history.jsonl.3").exists());
        let last = |service, count| {
            let records: Vec<Record> = history.last(service, count).unwrap();
            records.iter().map(|record| record.generation).collect::<Vec<_>>()
        };
        assert_eq!(last(None, 1), [10]);
        assert_eq!(last(None, 5), [6, 7, 8, 9, 10]);
        assert_eq!(last(Some("app"), 3), [6, 8, 10]);
        assert_eq!(last(None, 0), Vec::<u64>::new());
    }

    #[test]
    fn a_caller_has_a_name_where_there_is_one() {
        let mut actor = Actor { uid: 1000, user: Some("deploy".to_owned()), pid: Some(42) };
        assert_eq!(actor.to_string(), "deploy (uid 1000, pid 42)");
        actor.user = None;
        assert_eq!(actor.to_string(), "uid 1000 (pid 42)");
        assert_eq!(serde_json::to_string(&actor).unwrap(), r#"{"uid":1000,"pid":42}"#);
    }
}
