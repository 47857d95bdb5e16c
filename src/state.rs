//! Files under `state_dir`: private, replaced as a whole, never torn, one daemon's at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes a folder with mode 0700, its parents too.
pub fn create_private_dir(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Replaces `path` by `bytes`: a crash leaves the old content or the new, and once this has returned, the new.
///
/// Temp file, fsync, rename, fsync of the folder; mode 0600. Blocks on the disk.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temp = path.with_extension("tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temp, path)?;
    File::open(folder)?.sync_all()
}

/// Removes what a crash has left of [`write_durably`] in a folder.
pub fn remove_half_written(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Moves a damaged file out of the way under a name that says when; answers the name.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.damaged-{stamp}"));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// Held by the one daemon that uses a `state_dir`; freed by the kernel when it dies.
#[derive(Debug)]
pub struct DirLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DirLock {
    /// Fails when another process holds it.
    pub fn take(folder: &Path) -> io::Result<Self> {
        let path = folder.join("lock");
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "another edgectl uses it"),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self(file))
    }
}
