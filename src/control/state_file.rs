//! Which colour serves, on disk: written before a switch is acknowledged, read once at the start.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::service::Active;
use crate::state::{set_aside, write_durably};
use crate::types::Color;

/// `state_dir/state.json`.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    state: State,
}

/// Everything in it. Services that the config no longer has are kept: they may come back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    services: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    active: Color,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Color>,
    generation: u64,
    since: Timestamp,
}

const VERSION: u32 = 1;

/// What was found at the start.
#[derive(Debug, PartialEq, Eq)]
pub enum Recovered {
    Nothing,
    State,
    /// It could not be read as state and was moved here; every service starts with its `initial` colour.
    Damaged {
        aside: PathBuf,
        why: String,
    },
}

impl StateFile {
    /// Reads the file. Damage is set aside and told, never fatal; an unreadable disk is.
    pub fn open(folder: &Path) -> io::Result<(Self, Recovered)> {
        let path = folder.join("state.json");
        let (state, recovered) = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (State::default(), Recovered::Nothing),
            Err(error) => return Err(error),
            Ok(bytes) => match parse(&bytes) {
                Ok(state) => (state, Recovered::State),
                Err(why) => (State::default(), Recovered::Damaged { aside: set_aside(&path)?, why }),
            },
        };
        Ok((Self { path, state: State { version: VERSION, ..state } }, recovered))
    }

    /// What serves a service according to the disk.
    pub fn active(&self, service: &str) -> Option<Active> {
        let entry = self.state.services.get(service)?;
        Some(Active {
            color: entry.active,
            generation: entry.generation,
            previous: entry.previous,
            since: SystemTime::from(entry.since),
        })
    }

    /// Makes `active` durable. On an error nothing has changed, neither here nor, as far as can be told, on disk.
    pub fn store(&mut self, service: &str, active: &Active) -> io::Result<()> {
        let mut next = self.state.clone();
        let entry = Entry {
            active: active.color,
            previous: active.previous,
            generation: active.generation,
            since: Timestamp::try_from(active.since).unwrap_or_else(|_| Timestamp::now()),
        };
        next.services.insert(service.to_owned(), entry);
        let text = serde_json::to_vec_pretty(&next)?;
        write_durably(&self.path, &text)?;
        self.state = next;
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<State, String> {
    let state: State = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    if state.version == VERSION { Ok(state) } else { Err(format!("version {} is not known here", state.version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, recovered) = StateFile::open(folder.path()).unwrap();
        assert_eq!(recovered, Recovered::Nothing);
        let active = Active {
            color: Color::Green,
            generation: 7,
            previous: Some(Color::Blue),
            since: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000),
        };
        file.store("app", &active).unwrap();
        let (again, recovered) = StateFile::open(folder.path()).unwrap();
        assert_eq!(recovered, Recovered::State);
        assert_eq!(again.active("app"), Some(active));
        assert_eq!(again.active("other"), None);
    }

    #[test]
    fn damage_is_set_aside() {
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
