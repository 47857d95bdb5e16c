//! The counts that are kept in `benches/results/instructions.json`, and what a new run says beside them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// A cell that grows by more than this share has grown. Two runs of one binary differ by less.
pub const TOLERANCE: f64 = 0.01;

/// Instructions per request, by cell, and what they were counted with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub valgrind: String,
    pub version: String,
    pub cells: BTreeMap<String, u64>,
}

/// A cell of two runs.
#[derive(Debug, PartialEq)]
pub struct Change<'a> {
    pub cell: &'a str,
    pub before: Option<u64>,
    pub now: u64,
}

impl Change<'_> {
    /// The share by which it has grown; below zero when it has shrunk. A cell that is new has not.
    pub fn growth(&self) -> f64 {
        self.before.map_or(0.0, |before| self.now as f64 / before as f64 - 1.0)
    }

    pub fn has_grown(&self) -> bool {
        self.growth() > TOLERANCE
    }
}

/// Where the published counts are.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results/instructions.json")
}

impl Counts {
    /// What is published; nothing when there is no file yet.
    pub fn read(path: &Path) -> Result<Option<Counts>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let counts = serde_json::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        Ok(Some(counts))
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Every cell of this run beside the same of `before`.
    pub fn changes<'a>(&'a self, before: Option<&Counts>) -> Vec<Change<'a>> {
        let old = |cell: &str| before.and_then(|before| before.cells.get(cell).copied());
        self.cells.iter().map(|(cell, &now)| Change { cell, before: old(cell), now }).collect()
    }
}

/// For the terminal.
pub fn table(changes: &[Change]) -> String {
    let mut out = format!("\n{:28}{:>12}{:>12}{:>9}\n", "instructions per request", "before", "now", "");
    for change in changes {
        let before = change.before.map_or_else(|| "-".to_owned(), |before| before.to_string());
        let verdict = if change.has_grown() { "  GROWN" } else { "" };
        let growth = change.growth() * 100.0;
        let _ = writeln!(out, "{:28}{before:>12}{:>12}{growth:>+8.2}%{verdict}", change.cell, change.now);
    }
    out
}
