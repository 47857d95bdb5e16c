//! Files under `state_dir`: private, replaced as a whole, never torn, one daemon's at a time.

mod modes;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

pub use modes::{LaxModes, mend_modes};

/// Makes a folder with mode 0700, its parents too.
pub fn create_private_dir(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Replaces `path` by `bytes`: a crash leaves the old content or the new, and once this has returned, the new.
///
/// Temp file, fsync, rename, fsync of the folder; mode 0600. The temp file is always a new one: what lies in its place, left by a
/// crash or put there by another user, is removed and never written to or followed. Blocks on the disk.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temp = path.with_extension("tmp");
    let mut file = match open_anew(&temp) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&temp)?;
            open_anew(&temp)?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temp, path)?;
    File::open(folder)?.sync_all()
}

/// O_EXCL|O_NOFOLLOW: neither a file that is there nor what a link points to.
fn open_anew(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    OpenOptions::new().write(true).create_new(true).mode(0o600).custom_flags(flags).open(path)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_temporary_file_is_a_new_one_whatever_lies_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, temp, precious) =
            (folder.path().join("state.json"), folder.path().join("state.tmp"), folder.path().join("precious"));
        fs::write(&precious, "text").unwrap();
        symlink(&precious, &temp).unwrap();
        write_durably(&path, b"one").unwrap();
        assert_eq!(
            (fs::read_to_string(&precious).unwrap().as_str(), fs::read(&path).unwrap().as_slice()),
            ("text", &b"one"[..])
        );
        assert!(!path.is_symlink() && !temp.exists());
        // As a crash leaves it, or another user who may write here: it would keep its lax mode.
        fs::write(&temp, "longer than what comes").unwrap();
        fs::set_permissions(&temp, fs::Permissions::from_mode(0o666)).unwrap();
        write_durably(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
