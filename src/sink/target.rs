//! The outputs themselves: a stream that the process was started with, or a file.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use super::file::LogFile;
use super::stream::{LineStream, WriteFailed};

/// Where lines end up.
#[derive(Debug)]
pub struct LogTarget {
    /// Stable: the label of the metric.
    pub(super) name: &'static str,
    kind: TargetKind,
}

#[derive(Debug)]
enum TargetKind {
    Stream(LineStream<File>),
    File(LogFile),
    #[cfg(test)]
    Test(LineStream<Box<dyn WriteSend>>),
}

#[cfg(test)]
pub trait WriteSend: io::Write + Send + std::fmt::Debug {}

#[cfg(test)]
impl<T: io::Write + Send + std::fmt::Debug> WriteSend for T {}

impl LogTarget {
    /// A handle of its own on stderr. The standard library's has a lock, which a write that stalls would hold: every thread that
    /// has something to say there would wait for it.
    pub fn stderr() -> io::Result<Self> {
        Self::stream("stderr", io::stderr())
    }

    /// The same of stdout, which has a buffer, too, that would be written at the end of the process.
    pub fn stdout() -> io::Result<Self> {
        Self::stream("stdout", io::stdout())
    }

    /// The access log's file.
    pub fn file(file: LogFile) -> Self {
        Self { name: "access", kind: TargetKind::File(file) }
    }

    #[cfg(test)]
    pub fn test(target: impl WriteSend + 'static) -> Self {
        Self { name: "test", kind: TargetKind::Test(LineStream::new(Box::new(target))) }
    }

    fn stream(name: &'static str, stream: impl AsFd) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        Ok(Self { name, kind: TargetKind::Stream(LineStream::new(file)) })
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), WriteFailed> {
        match &mut self.kind {
            TargetKind::Stream(stream) => stream.write(lines),
            TargetKind::File(file) => file.write(lines),
            #[cfg(test)]
            TargetKind::Test(stream) => stream.write(lines),
        }
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match &mut self.kind {
            TargetKind::File(file) => file.reopen(),
            TargetKind::Stream(_) => Ok(()),
            #[cfg(test)]
            TargetKind::Test(_) => Ok(()),
        }
    }
}
