//! `state.json`: which colour serves each service. It is written before a switch is acknowledged, and read once at the start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::control::messages::millis;
use crate::service::{Active, Canary, Maintenance, Pause};
use crate::state::{set_aside, write_durably};
use crate::types::Color;

/// `state_dir/state.json`.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    state: StateContent,
}

/// Its content. A service that the config no longer has is kept: it may come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateContent {
    version: u32,
    services: BTreeMap<String, StoredService>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredService {
    active: Color,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Color>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rolled_back: Option<Timestamp>,
    generation: u64,
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canary: Option<StoredCanary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paused: Option<StoredPause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maintenance: Option<StoredMaintenance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preview_until: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredCanary {
    color: Color,
    percent: u8,
    id: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPause {
    max_ms: u64,
    since: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredMaintenance {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allow: Vec<IpNet>,
    since: Timestamp,
}

const VERSION: u32 = 1;

/// What the start has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovered {
    Nothing,
    State,
    /// The file could not be parsed and was moved to `aside`; every service starts with its `initial` colour.
    Damaged {
        aside: PathBuf,
        why: String,
    },
}

impl StateFile {
    /// Reads the file. A damaged file is moved aside and reported, and is no error; an unreadable disk is one.
    pub fn open(folder: &Path) -> io::Result<(Self, Recovered)> {
        let path = folder.join("state.json");
        let (state, recovered) = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (StateContent::default(), Recovered::Nothing),
            Err(error) => return Err(error),
            Ok(bytes) => match parse(&bytes) {
                Ok(state) => (state, Recovered::State),
                Err(why) => (StateContent::default(), Recovered::Damaged { aside: set_aside(&path)?, why }),
            },
        };
        Ok((Self { path, state: StateContent { version: VERSION, ..state } }, recovered))
    }

    /// What serves a service, according to the disk.
    pub fn active(&self, service: &str) -> Option<Active> {
        let entry = self.state.services.get(service)?;
        Some(entry.active())
    }

    /// Makes `active` durable. After an error nothing has changed, in memory for certain and on disk as far as can be told.
    pub fn store(&mut self, service: &str, active: &Active) -> io::Result<()> {
        let mut next = self.state.clone();
        next.services.insert(service.to_owned(), StoredService::of(active));
        let text = serde_json::to_vec_pretty(&next)?;
        write_durably(&self.path, &text)?;
        self.state = next;
        Ok(())
    }
}

impl StoredService {
    fn of(active: &Active) -> Self {
        Self {
            active: active.color,
            previous: active.previous,
            rolled_back: active.rolled_back.map(stamp),
            generation: active.generation,
            since: stamp(active.since),
            canary: active.canary.map(|c| StoredCanary { color: c.color, percent: c.percent, id: c.id }),
            paused: active.paused.map(|p| StoredPause { max_ms: millis(p.max), since: stamp(p.since) }),
            maintenance: active.maintenance.as_deref().map(|m| StoredMaintenance {
                message: m.message.clone(),
                allow: m.allow.clone(),
                since: stamp(m.since),
            }),
            preview_until: active.preview_until.map(stamp),
        }
    }

    fn active(&self) -> Active {
        Active {
            color: self.active,
            generation: self.generation,
            previous: self.previous,
            rolled_back: self.rolled_back.map(SystemTime::from),
            since: self.since.into(),
            canary: self.canary.as_ref().map(|c| Canary { color: c.color, percent: c.percent.min(100), id: c.id }),
            paused: self.paused.as_ref().map(|p| Pause { max: Duration::from_millis(p.max_ms), since: p.since.into() }),
            maintenance: self.maintenance.as_ref().map(|m| {
                Arc::new(Maintenance { message: m.message.clone(), allow: m.allow.clone(), since: m.since.into() })
            }),
            preview_until: self.preview_until.map(SystemTime::from),
        }
    }
}

fn stamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or_else(|_| Timestamp::now())
}

fn parse(bytes: &[u8]) -> Result<StateContent, String> {
    let state: StateContent = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if state.version == VERSION { Ok(state) } else { Err(format!("version {} is not known here", state.version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_state_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, recovered) = StateFile::open(folder.path()).unwrap();
        assert_eq!(recovered, Recovered::Nothing);
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let maintenance = Maintenance {
            message: Some("back at ten".to_owned()),
            allow: vec!["192.0.2.0/24".parse().unwrap()],
            since,
        };
        let active = Active {
            previous: Some(Color::Blue),
            rolled_back: Some(since),
            canary: Some(Canary { color: Color::Blue, percent: 5, id: 6 }),
            paused: Some(Pause { max: Duration::from_secs(30), since }),
            maintenance: Some(Arc::new(maintenance)),
            preview_until: Some(since),
            ..Active::new(Color::Green, 7, since)
        };
        file.store("app", &active).unwrap();
        let (again, recovered) = StateFile::open(folder.path()).unwrap();
        assert_eq!(recovered, Recovered::State);
        assert_eq!(again.active("app"), Some(active));
        assert_eq!(again.active("other"), None);
    }

    #[test]
    fn a_damaged_file_is_moved_aside() {
        for damage in
            ["", "{", "{\"version\":1,\"services\":{\"app\":{\"active\":\"red\"}}}", "{\"version\":9,\"services\":{}}"]
        {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("state.json"), damage).unwrap();
            let (file, recovered) = StateFile::open(folder.path()).unwrap();
            let Recovered::Damaged { aside, .. } = recovered else { panic!("{damage}") };
            assert_eq!(std::fs::read_to_string(aside).unwrap(), damage);
            assert_eq!(file.active("app"), None);
        }
    }
}
