//! Writing whole lines to what may be a pipe, a terminal, a device or a file, and may refuse or stall.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

use memchr::memchr_iter;

/// How long a pipe without room is left alone. Another process that shares it may have made it non-blocking.
const REST: Duration = Duration::from_millis(10);

/// An output of lines. After a write that broke off in the middle of a line, the next one begins on a line of its own.
#[derive(Debug)]
pub(super) struct LineStream<W> {
    pub(super) inner: W,
    is_torn: bool,
}

/// A write that failed, perhaps after some of its lines.
#[derive(Debug)]
pub(super) struct WriteFailed {
    pub(super) error: io::Error,
    /// Lines that were not written, or not to their end.
    pub(super) lost: u64,
}

impl<W: Write> LineStream<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, is_torn: false }
    }

    /// Writes whole lines. Waits as long as the output stalls: for a thread that has nothing else to do.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), WriteFailed> {
        if self.is_torn {
            self.push(b"\n").map_err(|(_, error)| WriteFailed { error, lost: count(lines) })?;
            self.is_torn = false;
        }
        self.push(lines).map_err(|(written, error)| {
            let (done, rest) = lines.split_at(written);
            self.is_torn = done.last().is_some_and(|byte| *byte != b'\n');
            WriteFailed { error, lost: count(rest) }
        })
    }

    /// The error comes with how much was written before it.
    fn push(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.inner.write(rest) {
                Ok(0) => return Err((written, ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(REST),
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk with room for so many bytes.
    struct Small(usize, Vec<u8>);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0 - self.1.len());
            self.1.extend_from_slice(&bytes[..taken]);
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_has_cut_does_not_spoil_the_next_one() {
        let mut stream = LineStream::new(Small(6, Vec::new()));
        let failed = stream.write(b"one\ntwo\nthree\n").unwrap_err();
        assert_eq!((failed.lost, failed.error.kind()), (2, ErrorKind::StorageFull));
        stream.inner.0 = 100;
        stream.write(b"four\n").unwrap();
        assert_eq!(str::from_utf8(&stream.inner.1).unwrap(), "one\ntw\nfour\n");
    }
}
