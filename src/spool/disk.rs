//! What all spool files together may take of the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::file::create;
use crate::config::SpoolConfig;

/// One file may have this part of all: an eighth.
const FILES: u64 = 8;

/// The bytes in all spool files of the process.
#[derive(Debug, Default)]
pub struct SpoolDisk {
    used: AtomicU64,
    files: AtomicU64,
    warned: AtomicBool,
}

/// One file's part of it.
pub(super) struct DiskShare {
    disk: Arc<SpoolDisk>,
    config: Arc<SpoolConfig>,
    taken: u64,
    has_failed: bool,
}

/// Whether files can be made there.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    create(folder).map(drop)
}

impl SpoolDisk {
    /// Bytes in files that are open now: such a file has no name, and `du` does not see it.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bodies that did not fit into memory, since the start.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }
}

impl DiskShare {
    pub fn new(disk: &Arc<SpoolDisk>, config: &Arc<SpoolConfig>) -> Self {
        Self { disk: disk.clone(), config: config.clone(), taken: 0, has_failed: false }
    }

    pub fn folder(&self) -> PathBuf {
        self.config.dir.clone()
    }

    /// Whether there is a disk at all for this file.
    pub fn is_usable(&self) -> bool {
        !self.has_failed && self.config.size > 0
    }

    /// A single body never fills the spool.
    pub fn take(&mut self, more: usize) -> bool {
        let more = more as u64;
        let size = self.config.size;
        if !self.is_usable() || self.taken + more > size / FILES || self.disk.used() + more > size {
            if self.is_usable() {
                self.warn(&"it is full: [limits] spool_size");
            }
            return false;
        }
        if self.taken == 0 {
            self.disk.files.fetch_add(1, Ordering::Relaxed);
        }
        self.taken += more;
        self.disk.used.fetch_add(more, Ordering::Relaxed);
        true
    }

    /// It could not be written: nothing more is, of this file.
    pub fn fail(&mut self, more: usize, error: &io::Error) {
        self.has_failed = true;
        self.give_back(more as u64);
        self.warn(error);
    }

    /// The share with all that is in it; `self` has nothing then.
    #[must_use]
    pub fn hand_over(&mut self) -> Self {
        let taken = std::mem::take(&mut self.taken);
        Self { disk: self.disk.clone(), config: self.config.clone(), taken, has_failed: self.has_failed }
    }

    pub fn give_back_all(&mut self) {
        self.give_back(self.taken);
    }

    fn give_back(&mut self, less: u64) {
        self.taken -= less;
        self.disk.used.fetch_sub(less, Ordering::Relaxed);
    }

    /// Once in the life of the process: what it is about may be so for each body.
    fn warn(&self, why: &dyn std::fmt::Display) {
        if !self.disk.warned.swap(true, Ordering::Relaxed) {
            let folder = self.config.dir.display();
            tracing::warn!(%folder, %why, "the spool can't take more: large bodies pass as fast as the slower side; not said again");
        }
    }
}

impl Drop for DiskShare {
    fn drop(&mut self) {
        self.give_back_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_gets_an_eighth_and_all_together_no_more_than_there_is() {
        let (disk, config) = (Arc::new(SpoolDisk::default()), Arc::new(SpoolConfig { dir: "/".into(), size: 1 << 20 }));
        let fill = |share: &mut DiskShare| (0..10_000).take_while(|_| share.take(1 << 10)).count();
        let mut shares: Vec<_> = (0..9).map(|_| DiskShare::new(&disk, &config)).collect();
        assert_eq!(shares.iter_mut().map(fill).collect::<Vec<_>>(), [128, 128, 128, 128, 128, 128, 128, 128, 0]);
        assert_eq!((disk.used(), disk.files()), (1 << 20, 8));
        shares[0].fail(1 << 10, &io::Error::from(io::ErrorKind::StorageFull));
        assert!(!shares[0].is_usable() && !shares[0].take(1));
        assert_eq!(disk.used(), 1023 << 10);
        assert_eq!(fill(&mut shares[8]), 1, "what one gives back, another gets");
        drop(shares);
        assert_eq!(disk.used(), 0);
    }

    #[test]
    fn a_size_of_zero_is_no_spool() {
        let config = Arc::new(SpoolConfig { dir: "/".into(), size: 0 });
        let mut share = DiskShare::new(&Arc::default(), &config);
        assert!(!share.is_usable() && !share.take(1));
    }
}
