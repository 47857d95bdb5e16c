//! An edgectl that runs under callgrind, which counts the instructions of all its threads.
//!
//! Counting is exact, on every machine: valgrind shows the program a CPU of its own (AVX2 and AES at most), so aws-lc and the C library
//! choose the same code wherever valgrind's host has these. What is counted is user space; system calls are not. `vgdb` sets the
//! counter to zero and asks for it, also while every thread of the program waits. `perf stat` would be quicker, but few virtual machines
//! have the counters that it needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::peers::{Binary, Ground, Peer};

/// A running edgectl and its counter.
pub struct Counted {
    pub peer: Peer,
    folder: TempDir,
    dumps: usize,
}

impl Counted {
    /// Starts it and waits until it answers.
    pub async fn start(binary: &Binary, ground: &Ground) -> Result<Counted> {
        let folder = TempDir::with_prefix("edgectl-callgrind-").context("cannot make a folder for callgrind")?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let launcher = [
            "valgrind".to_owned(),
            "--tool=callgrind".to_owned(),
            "--quiet".to_owned(),
            "--fair-sched=try".to_owned(),
            format!("--vgdb-prefix={}", path("vgdb")),
            format!("--callgrind-out-file={}", path("cost")),
        ];
        let mut peer = binary.launch(&launcher, ground)?;
        peer.ready().await?;
        Ok(Counted { peer, folder, dumps: 0 })
    }

    /// Sets the counter to zero.
    pub fn zero(&self) -> Result<()> {
        self.tell("zero")
    }

    /// Instructions since the counter was zero, which it is again afterwards.
    pub fn take(&mut self) -> Result<u64> {
        // The last dump was left there, to be looked at.
        fs::remove_file(self.dump()).ok();
        self.tell("dump")?;
        self.dumps += 1;
        let text = fs::read_to_string(self.dump()).context("callgrind wrote no dump")?;
        totals(&text).context("callgrind's dump has no totals")
    }

    /// Copies the last dump to a folder, as `callgrind.out.NAME`.
    pub fn leave(&self, folder: &Path, name: &str) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let to = folder.join(format!("callgrind.out.{name}"));
        fs::copy(self.dump(), &to).map(drop).with_context(|| format!("cannot write {}", to.display()))
    }

    fn dump(&self) -> PathBuf {
        self.folder.path().join(format!("cost.{}", self.dumps))
    }

    fn tell(&self, command: &str) -> Result<()> {
        let prefix: PathBuf = self.folder.path().join("vgdb");
        let told = Command::new("vgdb")
            .arg(format!("--vgdb-prefix={}", prefix.display()))
            .arg(format!("--pid={}", self.peer.tree.root))
            .arg(command)
            .output()
            .context("cannot run vgdb, which comes with valgrind")?;
        ensure!(told.status.success(), "vgdb {command} failed: {}", String::from_utf8_lossy(&told.stderr));
        Ok(())
    }
}

/// The sum over all functions and threads.
pub fn totals(dump: &str) -> Option<u64> {
    dump.lines().rev().find_map(|line| line.strip_prefix("totals:"))?.trim().parse().ok()
}
