//! Who did what, when, why, and what came of it: JSON lines in `state_dir/history.jsonl`, only ever appended.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::operation::DrainReport;
use crate::types::Color;

/// The file. Appending blocks on the disk.
#[derive(Debug)]
pub struct History {
    path: PathBuf,
    file: Mutex<File>,
}

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
    pub generation: u64,
    /// `switched`, `forced`, `refused`, `conflict`, `failed`, `drained`.
    pub result: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<DrainReport>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Switch,
    Rollback,
    Drain,
}

/// The process on the other end of the admin socket, as the kernel says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub uid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uid {}", self.uid)?;
        self.pid.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}

impl History {
    pub fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join("history.jsonl");
        let mut file = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(&path)?;
        end_torn_line(&mut file)?;
        Ok(Self { path, file: Mutex::new(file) })
    }

    /// One line, on disk when this returns.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The last `count` records of a service, or of all, oldest first. A line that was torn by a crash is passed over.
    pub fn last(&self, service: Option<&str>, count: usize) -> io::Result<Vec<Record>> {
        // By bytes: a torn line need not be text.
        let lines = BufReader::new(File::open(&self.path)?).split(b'\n');
        let mut records: Vec<Record> = lines
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_slice(&line).ok())
            .filter(|record: &Record| service.is_none_or(|name| record.service == name))
            .collect();
        Ok(records.split_off(records.len().saturating_sub(count)))
    }
}

/// A crash in the middle of an append leaves half a line: the next record must not be written behind it.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(generation: u64) -> Record {
        Record {
            time: Timestamp::UNIX_EPOCH,
            service: "app".to_owned(),
            action: Action::Switch,
            actor: Actor { uid: 0, pid: None },
            reason: Some("für alle".to_owned()),
            from: None,
            to: Some(Color::Green),
            generation,
            result: "switched".to_owned(),
            detail: None,
            gate_ms: None,
            flip_us: None,
            drain: None,
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
}
