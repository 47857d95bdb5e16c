//! The log file: appended to, rotated by size, opened anew on demand.
//!
//! Owns `access.log` and its older ones, `access.log.1` the youngest of them. A rotation that fails is told and tried
//! again when as much has been written once more; lines go on to the old file meanwhile. What is no regular file, as
//! `/dev/stdout` or a FIFO, is written to and never moved.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::stream::{LineStream, WriteFailed};

#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: LineStream<File>,
    /// Bytes in the file, counted here.
    size: u64,
    is_regular: bool,
    /// 0: never rotated.
    rotate_size: u64,
    keep: usize,
}

impl LogFile {
    /// Appends to what is there. A new file is readable by its owner and group (0640). Never waits for a reader.
    pub fn open(path: &Path, rotate_size: u64, keep: usize) -> io::Result<Self> {
        let (file, size, is_regular) = open(path)?;
        Ok(Self { path: path.to_owned(), file, size, is_regular, rotate_size, keep })
    }

    /// Writes whole lines. They never straddle two files; a file outgrows its size by no more than one call's bytes,
    /// and only when it was empty.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), WriteFailed> {
        let grown = self.size + lines.len() as u64;
        if self.is_regular && self.rotate_size > 0 && self.size > 0 && grown > self.rotate_size {
            self.rotate();
        }
        self.file.write(lines)?;
        self.size += lines.len() as u64;
        Ok(())
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.size, self.is_regular) = open(&self.path)?;
        Ok(())
    }

    fn rotate(&mut self) {
        if let Err(error) = self.shift().and_then(|()| self.reopen()) {
            tracing::warn!(%error, path = %self.path.display(), "access log can't be rotated");
            self.size = 0;
        }
    }

    /// `.1` becomes `.2`, and so on; the last one goes.
    fn shift(&self) -> io::Result<()> {
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for age in (1..self.keep).rev() {
            match fs::rename(self.aged(age), self.aged(age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.aged(1))
    }

    fn aged(&self, age: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{age}"));
        name.into()
    }
}

/// A FIFO is opened for reading, too (fifo(7)): otherwise there would have to be a reader first, and its end would be an error.
/// Lines wait in it until one comes.
fn open(path: &Path) -> io::Result<(LineStream<File>, u64, bool)> {
    let is_fifo = fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(is_fifo).mode(0o640).custom_flags(flags);
    let file = options.open(path)?;
    let found = file.metadata()?;
    Ok((LineStream::new(file), found.len(), found.is_file()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_fifo_needs_no_reader_to_be_opened_and_keeps_lines_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let mut log = LogFile::open(&path, 1, 1).unwrap();
        log.write(b"one\n").unwrap();
        let mut reader = File::open(&path).unwrap();
        let mut line = [0; 4];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"one\n");
        drop(reader);
        log.write(b"two\n").unwrap();
    }
}
