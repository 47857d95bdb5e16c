//! Failed validations of the last hour, by name, on disk: neither a crash nor a new config leads into an authority's limit.
//!
//! A validation is entered before it begins and struck when it has succeeded, so one that a crash has cut off counts as failed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::acme::schedule::{self, HOUR};
use crate::acme::stamp;
use crate::state::{remove_half_written, set_aside, write_durably};

pub struct ValidationLedger {
    path: PathBuf,
    names: RefCell<BTreeMap<String, Vec<EnteredValidation>>>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
struct EnteredValidation(#[serde(with = "stamp")] SystemTime);

impl ValidationLedger {
    /// One that can't be read is moved aside.
    pub fn open(folder: &Path) -> Self {
        remove_half_written(folder);
        let path = folder.join("validations.json");
        let names = match std::fs::read(&path).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(names)) => names,
            Ok(Err(error)) => {
                tracing::error!(path = %path.display(), %error, "damaged, and moved aside");
                let _ = set_aside(&path);
                BTreeMap::new()
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the last hour's failed validations are not known");
                BTreeMap::new()
            }
        };
        Self { path, names: RefCell::new(names) }
    }

    /// Until when one of these names is left alone.
    pub fn held<'a>(&self, names: impl Iterator<Item = &'a str>, now: SystemTime) -> Option<SystemTime> {
        let all = self.names.borrow();
        let failed = names.filter_map(|name| all.get(name));
        failed.filter_map(|entries| schedule::held(&entries.iter().map(|e| e.0).collect::<Vec<_>>(), now)).max()
    }

    /// Validations within the last hour that have failed or whose end is not known.
    pub fn recent(&self, name: &str, now: SystemTime) -> usize {
        let all = self.names.borrow();
        all.get(name).map_or(0, |entries| entries.iter().filter(|entry| entry.0 + HOUR > now).count())
    }

    /// On disk once it has returned.
    pub fn begin(&self, name: &str, now: SystemTime) -> std::io::Result<()> {
        self.names.borrow_mut().entry(name.to_owned()).or_default().push(EnteredValidation(now));
        self.write(now)
    }

    /// The name's last validation was no failure.
    pub fn succeeded(&self, name: &str, now: SystemTime) {
        if let Some(entries) = self.names.borrow_mut().get_mut(name) {
            entries.pop();
        }
        if let Err(error) = self.write(now) {
            tracing::warn!(path = %self.path.display(), %error, "not written");
        }
    }

    fn write(&self, now: SystemTime) -> std::io::Result<()> {
        let mut names = self.names.borrow_mut();
        names.values_mut().for_each(|entries| entries.retain(|entry| entry.0 + HOUR > now));
        names.retain(|_, entries| !entries.is_empty());
        let text = serde_json::to_vec_pretty(&*names).map_err(std::io::Error::other)?;
        write_durably(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_outlives_the_process_and_ends_with_the_hour() {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let ledger = ValidationLedger::open(folder.path());
        for _ in 0..6 {
            ledger.begin("a.example.com", now).unwrap();
        }
        ledger.succeeded("a.example.com", now);
        let again = ValidationLedger::open(folder.path());
        assert!(again.held(["a.example.com"].into_iter(), now).unwrap() > now);
        assert!(again.held(["b.example.com"].into_iter(), now).is_none());
        assert!(again.held(["a.example.com"].into_iter(), now + HOUR).is_none());
        std::fs::write(folder.path().join("validations.json"), "{").unwrap();
        assert!(ValidationLedger::open(folder.path()).held(["a.example.com"].into_iter(), now).is_none());
    }
}
