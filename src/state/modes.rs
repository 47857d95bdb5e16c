//! Modes of files that are there already: another program may have made them, or a volume that knows no modes.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// The bits that let others in.
const OTHERS: u32 = 0o077;

/// What others were able to read or write.
#[derive(Debug, Default)]
pub struct LaxModes {
    /// Private now.
    pub mended: Vec<PathBuf>,
    /// Still open to others, with the reason.
    pub left: Vec<(PathBuf, io::Error)>,
}

/// Makes `path` private: 0600 a file, 0700 a folder and all that is in it. Links are neither followed nor changed.
pub fn mend_modes(path: &Path, found: &mut LaxModes) {
    let Ok(metadata) = path.symlink_metadata() else { return };
    let wanted = match metadata.file_type() {
        kind if kind.is_dir() => 0o700,
        kind if kind.is_file() => 0o600,
        _ => return,
    };
    if metadata.permissions().mode() & OTHERS != 0 {
        match set_mode(path, wanted) {
            Ok(()) => found.mended.push(path.to_owned()),
            Err(error) => found.left.push((path.to_owned(), error)),
        }
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            mend_modes(&entry.path(), found);
        }
    }
}

/// Of the very file that is open, whatever has been put in its place since.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    file.set_permissions(Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn all_that_is_in_a_folder_becomes_private_and_nothing_that_a_link_leads_to() {
        let root = tempfile::tempdir().unwrap();
        let (outside, folder) = (root.path().join("outside"), root.path().join("ca"));
        fs::write(&outside, "").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("root.key"), "").unwrap();
        symlink(&outside, folder.join("link")).unwrap();
        for (path, lax) in [(&outside, 0o644), (&folder, 0o755), (&folder.join("root.key"), 0o640)] {
            fs::set_permissions(path, Permissions::from_mode(lax)).unwrap();
        }
        let mut found = LaxModes::default();
        mend_modes(&folder, &mut found);
        assert_eq!(found.mended, [folder.clone(), folder.join("root.key")]);
        assert!(found.left.is_empty());
        assert_eq!((mode(&folder), mode(&folder.join("root.key")), mode(&outside)), (0o700, 0o600, 0o644));
        let mut again = LaxModes::default();
        mend_modes(&folder, &mut again);
        assert!(again.mended.is_empty());
    }
}
