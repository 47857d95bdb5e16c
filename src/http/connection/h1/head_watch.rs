//! The byte stream under the HTTP/1.1 codec: scans heads, keeps the connection's phase, and gives the codec's own refusals our
//! form.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::scan::{ForeignByte, HeadScan, ScanFault};
use super::{own, target};
use crate::error::Failure;
use crate::http::connection::conn::Conn;

/// A client's byte stream, watched.
pub struct HeadWatch<T> {
    io: T,
    conn: Rc<Conn>,
    scan: HeadScan,
    /// What the codec reads next: encoded, it was more than the codec had room for.
    carry: Vec<u8>,
    /// What we write ourselves between the codec's answers, and how much of it is written.
    own: Option<(Vec<u8>, usize)>,
    /// All that the codec has written is gone: what it writes next begins an answer.
    is_between: bool,
}

impl<T> HeadWatch<T> {
    pub fn new(io: T, conn: Rc<Conn>) -> Self {
        Self { io, conn, scan: HeadScan::default(), carry: Vec::new(), own: None, is_between: true }
    }

    /// The stream, and what the codec would have read next.
    pub fn into_parts(self) -> (T, Vec<u8>) {
        (self.io, self.carry)
    }

    /// Looks at what arrived before the codec does. What its URI parser would refuse is encoded.
    #[inline]
    fn look_at(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        self.conn.received();
        let mut foreign = Vec::new();
        let result = self.scan.feed(&buf.filled()[before..], &mut foreign);
        let scanned = self.conn.scanned();
        if let Err(fault) = result {
            scanned.note_fault(self.scan.request(), failure_of(fault));
        }
        let (request, announced) = self.scan.announced();
        scanned.note_announced(request, announced);
        if !foreign.is_empty() {
            self.encode(buf, before, &foreign);
        }
    }

    #[cold]
    fn encode(&mut self, buf: &mut ReadBuf<'_>, before: usize, foreign: &[ForeignByte]) {
        for byte in foreign {
            self.conn.scanned().note_escape(byte.request, byte.in_target);
        }
        let places: Vec<_> = foreign.iter().map(|byte| byte.at).collect();
        self.carry = target::encoded(&buf.filled()[before..], &places);
        buf.set_filled(before);
        self.give_carry(buf);
    }

    /// What has not fitted before.
    fn give_carry(&mut self, buf: &mut ReadBuf<'_>) {
        let length = buf.remaining().min(self.carry.len());
        buf.put_slice(&self.carry[..length]);
        self.carry.drain(..length);
    }
}

fn failure_of(fault: ScanFault) -> Failure {
    match fault {
        ScanFault::Ambiguous => Failure::BadFraming,
        ScanFault::BadTarget | ScanFault::BrokenBody => Failure::BadRequest,
    }
}

impl<T: AsyncWrite + Unpin> HeadWatch<T> {
    /// The codec refuses a head it can't parse with a bare answer that no service has seen. Ours replaces it.
    fn substitute(&mut self, written: &[u8]) -> bool {
        if !self.conn.receives_head() {
            return false;
        }
        let Some(status) = own::status_of_bare(written) else { return false };
        let failure = match (self.conn.scanned().fault_in(self.conn.exchanges() + 1), status) {
            (Some(failure), _) => failure,
            (None, StatusCode::URI_TOO_LONG) => Failure::UriTooLong,
            // RFC 9112, 3: the request line alone was more than a head may be.
            (None, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
                if self.scan.request_line() >= self.conn.limits().header_size =>
            {
                Failure::UriTooLong
            }
            (None, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => Failure::HeadTooLarge,
            (None, _) => Failure::BadRequest,
        };
        self.own = Some((own::answer_unparsed(&self.conn, failure), 0));
        self.conn.linger_and_close();
        true
    }

    /// Early hints go out in front of their answer; where the one before is not gone yet, they are dropped.
    #[inline]
    fn take_hints(&mut self) {
        if !self.conn.hints().is_empty() {
            self.take_waiting_hints();
        }
    }

    #[cold]
    fn take_waiting_hints(&mut self) {
        if self.own.is_none() {
            let hints = self.conn.hints();
            let heads: Vec<_> = hints.take(self.conn.exchanges()).map(|fields| own::early_hints(&fields)).collect();
            self.own = self.is_between.then(|| (heads.concat(), 0));
        }
    }

    fn poll_own(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((bytes, sent)) = &mut self.own {
            let n = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, &bytes[*sent..]))?;
            *sent += n;
            if n == 0 || *sent == bytes.len() {
                self.own = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeadWatch<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if !self.carry.is_empty() {
            self.give_carry(buf);
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.look_at(buf, before);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeadWatch<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.substitute(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        self.take_hints();
        std::task::ready!(self.poll_own(cx))?;
        self.is_between = false;
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.conn.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs
            && self.substitute(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        self.take_hints();
        std::task::ready!(self.poll_own(cx))?;
        self.is_between = false;
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.conn.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The codec flushes when it has no more to write.
        self.is_between = true;
        self.take_hints();
        std::task::ready!(self.poll_own(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_own(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
