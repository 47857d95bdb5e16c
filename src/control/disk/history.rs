//! The history: each operation and event as a JSON line in `state_dir/history.jsonl`, only ever appended.
//!
//! `record` says what is in a line; `journal` handles the files and their rotation.

use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::journal::{FULL, Journal};
use super::record::HistoryRecord;

/// The file and its older generations. Appending blocks on the disk.
#[derive(Debug)]
pub struct History(Journal);

impl History {
    pub fn open(folder: &Path) -> io::Result<Self> {
        Journal::open(folder.join("history.jsonl"), FULL).map(Self)
    }

    /// One line, on disk when this returns.
    pub fn append(&self, record: &HistoryRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.0.append(&line)
    }

    /// The last `count` records of a service, or of all, oldest first. A line that a crash has torn is skipped.
    pub fn last(&self, service: Option<&str>, count: usize) -> io::Result<Vec<HistoryRecord>> {
        let mut records = Vec::new();
        for file in self.0.files()? {
            if records.len() >= count {
                break;
            }
            // Split as bytes: a torn line may not be valid UTF-8.
            let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
            let parsed = lines.filter_map(|line| serde_json::from_slice(&line).ok());
            let mut older: Vec<_> =
                parsed.filter(|record: &HistoryRecord| service.is_none_or(|name| record.service == name)).collect();
            older.append(&mut records);
            records = older;
        }
        Ok(records.split_off(records.len().saturating_sub(count)))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::control::disk::record::{HistoryAction, HistoryResult};
    use crate::control::messages::Actor;
    use crate::types::Color;

    fn record(generation: u64) -> HistoryRecord {
        let actor = Actor { uid: 0, user: None, pid: None };
        let record = HistoryRecord::new("app", HistoryAction::Switch, actor, HistoryResult::Switched, generation);
        HistoryRecord {
            time: Timestamp::UNIX_EPOCH,
            reason: Some("für alle".to_owned()),
            to: Some(Color::Green),
            ..record
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
    fn the_last_records_are_found_across_files() {
        let folder = tempfile::tempdir().unwrap();
        let history = History(Journal::open(folder.path().join("history.jsonl"), 300).unwrap());
        for generation in 1..=10 {
            history
                .append(&HistoryRecord {
                    service: ["app", "shop"][generation as usize % 2].into(),
                    ..record(generation)
                })
                .unwrap();
        }
        assert!(folder.path().join("history.jsonl.3").exists());
        let last = |service, count| {
            let records: Vec<HistoryRecord> = history.last(service, count).unwrap();
            records.iter().map(|record| record.generation).collect::<Vec<_>>()
        };
        assert_eq!(last(None, 1), [10]);
        assert_eq!(last(None, 5), [6, 7, 8, 9, 10]);
        assert_eq!(last(Some("app"), 3), [6, 8, 10]);
        assert_eq!(last(None, 0), Vec::<u64>::new());
    }
}
