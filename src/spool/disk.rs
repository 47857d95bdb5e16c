//! What all spool files together may take: of the disk, and of the descriptors that clients share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::file::create;
use crate::config::SpoolConfig;
use crate::resources::{Descriptor, Descriptors};

/// One file may have this part of all: an eighth.
const FILES: u64 = 8;

/// That it can't take more is reported this often.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// The bytes in all spool files of the process.
#[derive(Debug)]
pub struct SpoolDisk {
    descriptors: Arc<Descriptors>,
    used: AtomicU64,
    files: AtomicU64,
    warned: Mutex<Option<Instant>>,
}

/// One file's part of it.
pub(super) struct DiskShare {
    disk: Arc<SpoolDisk>,
    config: Arc<SpoolConfig>,
    taken: u64,
    has_failed: bool,
    descriptor: Option<Descriptor>,
}

/// Whether files can be made there.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    create(folder).map(drop)
}

impl SpoolDisk {
    pub fn new(descriptors: Arc<Descriptors>) -> Self {
        Self { descriptors, used: AtomicU64::new(0), files: AtomicU64::new(0), warned: Mutex::default() }
    }

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
        Self { disk: disk.clone(), config: config.clone(), taken: 0, has_failed: false, descriptor: None }
    }

    pub fn folder(&self) -> PathBuf {
        self.config.dir.clone()
    }

    /// Whether there is a disk at all for this file.
    pub fn is_usable(&self) -> bool {
        !self.has_failed && self.config.size > 0
    }

    /// Whether so much more may be taken now.
    pub fn has_room(&self, more: usize) -> bool {
        let (more, size) = (more as u64, self.config.size);
        let has_room = self.taken + more <= size / FILES && self.disk.used() + more <= size;
        if self.is_usable() && !has_room {
            self.warn(&"it is full: [limits] spool_size");
        }
        self.is_usable() && has_room
    }

    /// A single body never fills the spool, and no file takes a descriptor that connections need.
    pub fn take(&mut self, more: usize) -> bool {
        if !self.has_room(more) {
            return false;
        }
        let more = more as u64;
        if self.descriptor.is_none() {
            self.descriptor = self.disk.descriptors.for_file();
            if self.descriptor.is_none() {
                self.warn(&"few file descriptors are left");
                return false;
            }
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
        let (taken, descriptor) = (std::mem::take(&mut self.taken), self.descriptor.take());
        Self { disk: self.disk.clone(), config: self.config.clone(), taken, has_failed: self.has_failed, descriptor }
    }

    pub fn give_back_all(&mut self) {
        self.give_back(self.taken);
    }

    fn give_back(&mut self, less: u64) {
        self.taken -= less;
        self.disk.used.fetch_sub(less, Ordering::Relaxed);
    }

    /// Once a minute at most: what it is about may be so for each body.
    fn warn(&self, why: &dyn std::fmt::Display) {
        let (mut warned, now) = (self.disk.warned.lock(), Instant::now());
        if warned.is_none_or(|at| now.duration_since(at) >= SAY_AGAIN) {
            *warned = Some(now);
            let folder = self.config.dir.display();
            tracing::warn!(%folder, %why, "the spool can't take more: large bodies pass as fast as the slower side");
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

    fn disk() -> Arc<SpoolDisk> {
        Arc::new(SpoolDisk::new(Descriptors::within(usize::MAX, 0)))
    }

    #[test]
    fn one_file_gets_an_eighth_and_all_together_no_more_than_there_is() {
        let (disk, config) = (disk(), Arc::new(SpoolConfig { dir: "/".into(), size: 1 << 20 }));
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
        let mut share = DiskShare::new(&disk(), &config);
        assert!(!share.is_usable() && !share.take(1));
    }

    #[test]
    fn files_leave_the_last_descriptors_to_connections() {
        let descriptors = Descriptors::within(0, 0);
        let disk = Arc::new(SpoolDisk::new(descriptors.clone()));
        let config = Arc::new(SpoolConfig { dir: "/".into(), size: 1 << 20 });
        let mut shares: Vec<_> = (0..100).map(|_| DiskShare::new(&disk, &config)).collect();
        let taken = shares.iter_mut().filter_map(|share| share.take(1).then_some(())).count();
        assert_eq!(taken, descriptors.clients());
        assert!(!descriptors.are_exhausted());
        let kept = shares[0].hand_over();
        drop(shares);
        assert_eq!(disk.used(), 1);
        drop(kept);
        assert!(!descriptors.are_scarce());
    }
}
