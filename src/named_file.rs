//! Reading a file that the config names: a regular file of a bounded size, or an error at once.
//!
//! A FIFO would hold the reader until something writes to it, and a device may have no end. Every file of the config is read
//! through here, so that none of them can stop the control runtime or fill the memory.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::{getegid, geteuid};

/// More than any config, bundle of roots or certificate chain has.
const MOST: u64 = 16 * 1024 * 1024;

/// The whole file. Touches the disk, and waits for nothing else. An error that permission is denied says whose the file is.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Without it, opening a FIFO waits for a writer.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| explained(path, error))?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "it has more than 16 MiB"));
    }
    Ok(bytes)
}

/// Names the owner, the mode, and the user that asks: a secret in a container has the host's numbers.
fn explained(path: &Path, error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    // What denies it is the file, or the last folder on the way that can be seen at all.
    let seen = path.ancestors().find_map(|place| Some((place, fs::metadata(place).ok()?)));
    let Some((place, found)) = seen else { return error };
    let what = if place == path { "it".to_owned() } else { format!("its folder {}", place.display()) };
    let (uid, gid, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
    let (our_uid, our_gid) = (geteuid().as_raw(), getegid().as_raw());
    let whose = format!("{what} belongs to uid {uid}, gid {gid} with mode {mode:04o}");
    io::Error::new(error.kind(), format!("{error}: {whose}, and this process runs as uid {our_uid}, gid {our_gid}"))
}

/// The same as text.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn a_regular_file_of_any_usual_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "text").unwrap();
        assert_eq!(read_text(&path).unwrap(), "text");
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(read(&path).unwrap(), b"\xff");
        File::create(&path).unwrap().set_len(MOST).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MOST);
    }

    #[test]
    fn what_has_no_end_or_has_to_be_waited_for_is_an_error_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        File::create(path("large")).unwrap().set_len(MOST + 1).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("link")).unwrap();
        for (name, kind) in [
            ("large", ErrorKind::FileTooLarge),
            ("fifo", ErrorKind::InvalidInput),
            ("link", ErrorKind::InvalidInput),
            ("", ErrorKind::IsADirectory),
            ("missing", ErrorKind::NotFound),
        ] {
            assert_eq!(read(&path(name)).unwrap_err().kind(), kind, "{name}");
        }
    }
}
