//! Lines on disk that are only ever appended, in a file that is rotated when it is full.
//!
//! At [`FULL`] bytes `history.jsonl` becomes `history.jsonl.1`, the old `.1` becomes `.2`, and so on to [`KEPT`]; the oldest is
//! dropped. A crash between two of these renames leaves a number free. The next rotation moves only the files below that
//! number, so nothing is lost.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
/// From this many bytes on, the next line begins a new file: some ten thousand switches.
pub const FULL: u64 = 4 * 1024 * 1024;

/// How many full files are kept.
pub const KEPT: u32 = 5;

/// The files. Every call blocks on the disk.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    full: u64,
    end: Mutex<JournalEnd>,
}

/// Where the next line goes.
#[derive(Debug)]
struct JournalEnd {
    file: File,
    /// The last line may be incomplete: the disk was full.
    is_torn: bool,
}

impl Journal {
    pub fn open(path: PathBuf, full: u64) -> io::Result<Self> {
        let mut file = open(&path)?;
        end_torn_line(&mut file)?;
        sync_folder(&path)?;
        Ok(Self { path, full, end: Mutex::new(JournalEnd { file, is_torn: false }) })
    }

    /// Appends one line, which has its newline; it is on disk when this returns. If the file can't be rotated, the line goes
    /// into the old one. What an error has left of a line spoils no other line.
    pub fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut end = self.end.lock();
        if end.file.metadata()?.len() >= self.full {
            match self.rotate() {
                Ok(file) => *end = JournalEnd { file, is_torn: false },
                Err(error) => tracing::error!(%error, path = %self.path.display(), "history not rotated"),
            }
        }
        end.write(line)?;
        end.file.sync_data()
    }

    /// All files, newest first. They are opened under the lock, so that each line is in exactly one of them.
    pub fn files(&self) -> io::Result<Vec<File>> {
        let _lock = self.end.lock();
        let paths = std::iter::once(self.path.clone()).chain((1..=KEPT).map(|number| self.numbered(number)));
        let there = paths.map(File::open).filter(|file| !file.as_ref().is_err_and(is_missing));
        there.collect()
    }

    fn rotate(&self) -> io::Result<File> {
        let free = (1..=KEPT).find(|number| !self.numbered(*number).exists()).unwrap_or(KEPT);
        for number in (1..free).rev() {
            self.rename(&self.numbered(number), number + 1)?;
        }
        // The file is missing if the last rotation failed after this rename.
        match self.rename(&self.path, 1) {
            Err(error) if !is_missing(&error) => return Err(error),
            _ => {}
        }
        let fresh = open(&self.path)?;
        sync_folder(&self.path)?;
        Ok(fresh)
    }

    /// The rename is on disk before the next one begins, so that a crash never keeps a later rename and loses an earlier one.
    fn rename(&self, from: &Path, number: u32) -> io::Result<()> {
        fs::rename(from, self.numbered(number))?;
        sync_folder(&self.path)
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl JournalEnd {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if std::mem::replace(&mut self.is_torn, true) {
            self.file.write_all(b"\n")?;
        }
        self.file.write_all(line)?;
        self.is_torn = false;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
}

/// A crash during an append leaves half a line; the next line must not continue it.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: usize = 4;

    /// A file is full after two lines.
    fn journal(folder: &Path) -> Journal {
        Journal::open(folder.join("history.jsonl"), 2 * LINE as u64).unwrap()
    }

    fn write(journal: &Journal, lines: std::ops::Range<u32>) {
        for line in lines {
            journal.append(format!("{line:03}\n").as_bytes()).unwrap();
        }
    }

    /// Oldest first.
    fn read(journal: &Journal) -> Vec<u32> {
        let mut files = journal.files().unwrap();
        files.reverse();
        let mut text = String::new();
        for mut file in files {
            file.read_to_string(&mut text).unwrap();
        }
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn full_files_are_kept_up_to_their_number() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(folder.path());
        write(&journal, 0..12);
        assert_eq!(read(&journal), (0..12).collect::<Vec<_>>());
        write(&journal, 12..13);
        assert_eq!(read(&journal), (2..13).collect::<Vec<_>>(), "the oldest file is dropped");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT as usize);
    }

    #[test]
    fn a_crash_at_any_rename_loses_nothing() {
        for full in 0..=KEPT {
            let begin = full * 2 + 2;
            let renames: Vec<u32> = (1..(full + 1).min(KEPT)).rev().collect();
            for done in 0..=renames.len() {
                let folder = tempfile::tempdir().unwrap();
                let crashed = journal(folder.path());
                write(&crashed, 0..begin);
                for number in &renames[..done] {
                    crashed.rename(&crashed.numbered(*number), number + 1).unwrap();
                }
                let kept = read(&crashed);
                let again = journal(folder.path());
                assert_eq!(read(&again), kept);
                write(&again, begin..begin + 1);
                let lost = if full == KEPT && done == 0 { 2 } else { 0 };
                assert_eq!(read(&again).len(), kept.len() + 1 - lost, "{done} of {renames:?} done");
            }
        }
    }

    #[test]
    fn a_crash_before_the_new_file_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let crashed = journal(folder.path());
        write(&crashed, 0..2);
        crashed.rename(&crashed.path, 1).unwrap();
        assert_eq!(read(&crashed), [0, 1]);
        // The old handle still writes to the renamed file until a rotation succeeds.
        write(&crashed, 2..3);
        assert_eq!(read(&crashed).len(), 3);
        let again = journal(folder.path());
        write(&again, 3..4);
        assert_eq!(read(&again).len(), 4);
    }

    #[test]
    fn a_file_that_cannot_be_rotated_is_still_written() {
        let folder = tempfile::tempdir().unwrap();
        let journal = journal(folder.path());
        // A folder blocks the rename.
        fs::create_dir_all(folder.path().join("history.jsonl.1/x")).unwrap();
        for number in 2..=KEPT {
            fs::create_dir_all(folder.path().join(format!("history.jsonl.{number}/x"))).unwrap();
        }
        write(&journal, 0..7);
        let text = fs::read_to_string(folder.path().join("history.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 7);
    }

    #[test]
    fn a_half_written_line_spoils_no_other() {
        // A full pipe behaves like a full disk: it takes what it has room for, and then nothing.
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let mut end = JournalEnd { file: File::from(std::os::fd::OwnedFd::from(writer)), is_torn: false };
        let long = "x".repeat(1 << 21) + "\n";
        assert!(end.write(long.as_bytes()).is_err());
        let mut room = vec![0; 1 << 21];
        let taken = reader.read(&mut room).unwrap();
        assert!(room[..taken].iter().all(|byte| *byte == b'x'), "half a line");
        for line in ["one\n", "two\n"] {
            end.write(line.as_bytes()).unwrap();
        }
        drop(end);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.trim_start_matches('x'), "\none\ntwo\n");
    }
}
