//! A temporary file without a name: it is gone with its last descriptor, whatever ends the process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use tokio::runtime::Handle;
use uuid::Uuid;

/// It is written and read in pieces of this size, as long as there is memory for them: so much waits for it, twice while it is written.
pub(super) const PIECE: usize = 256 * 1024;

/// A twentieth of the file system stays free: the database next door needs it more than a slow download.
const SPARED: u64 = 20;

/// A file that is open for as long as anything reads or writes it.
#[derive(Clone)]
pub(super) struct SpoolFile(Arc<Closing>);

/// The file can't be read: what follows is lost.
#[derive(Debug, thiserror::Error)]
#[error("the spool file can't be read")]
pub struct Unreadable;

/// Closed on a thread that may wait: to free a large file takes the kernel a while.
struct Closing(Option<File>);

impl SpoolFile {
    /// To be called where it may wait, as all of this.
    pub fn create(folder: &Path) -> io::Result<Self> {
        create(folder).map(|file| Self(Arc::new(Closing(Some(file)))))
    }

    /// Writes all parts from `at` on, or none of them counts.
    pub fn write(&self, parts: &[Bytes], mut at: u64) -> io::Result<()> {
        let file = self.file()?;
        let system = rustix::fs::fstatvfs(file)?;
        if system.f_bavail < system.f_blocks / SPARED {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the file system is nearly full"));
        }
        for part in parts {
            file.write_all_at(part, at)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    pub fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let mut part = vec![0; length];
        self.file()?.read_exact_at(&mut part, at)?;
        Ok(part.into())
    }

    fn file(&self) -> io::Result<&File> {
        self.0.0.as_ref().ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let file = self.0.take();
        if let Ok(runtime) = Handle::try_current() {
            // Its end is waited for by no one; a runtime that ends meanwhile closes it too.
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// A file that never had a name, where the file system can do that (open(2), `O_TMPFILE`); else one that loses it at once.
pub(super) fn create(folder: &Path) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    match rustix::fs::openat(CWD, folder, OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC, mode) {
        Ok(file) => Ok(file.into()),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let path = folder.join(format!(".spool-{}", Uuid::now_v7().simple()));
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::CLOEXEC;
            let file = rustix::fs::openat(CWD, &path, flags, mode)?;
            rustix::fs::unlinkat(CWD, &path, rustix::fs::AtFlags::empty())?;
            Ok(file.into())
        }
        Err(error) => Err(error.into()),
    }
}
