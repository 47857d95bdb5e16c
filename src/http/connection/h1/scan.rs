//! Finds in the bytes of a head what RFC 9112 forbids and the codec's parser lets pass.
//!
//! hyper drops a Content-Length beside a Transfer-Encoding, merges equal Content-Lengths and takes a bare LF for a line's
//! end, in a trailer too. Each of these is a way to smuggle requests (RFC 9112, 2.2, 6.1, 6.3 and 11.2), so the bytes are scanned
//! before hyper reads them. Every body is framed anew towards the backend, so nothing depends on this alone.

use super::chunks::{BrokenChunk, Chunk};
use super::length::LengthValue;
use super::target::TargetByte;

const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";

/// What is kept of a line: room for the longest name that is looked for.
const NAME: usize = TRANSFER_ENCODING.len();

/// Follows one connection's bytes from head to head.
#[derive(Debug, Default)]
pub struct HeadScan {
    state: ScanState,
    /// The current line's first bytes, in lower case.
    name: [u8; NAME],
    line_len: usize,
    ends_in_cr: bool,
    target: Target,
    length: LengthValue,
    content_length: Option<u64>,
    length_fields: u8,
    encoding_fields: u8,
    lines: u32,
    /// Length of the latest request line, as far as it has come.
    request_line: usize,
    /// Heads that have come whole.
    heads: u64,
    /// What the chunks of the latest body have announced so far.
    announced: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    #[default]
    Head,
    /// This many bytes of a body are still to come.
    Body(u64),
    Chunked(Chunk),
    /// A fault was found in this request: what follows means nothing.
    Over(u64),
}

/// How far a request line has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Target {
    #[default]
    Before,
    /// It has begun at this place of the line.
    At(usize),
    After,
}

/// The connection can't be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanFault {
    /// The length of a body, or the end of a head, can be read in two ways.
    Ambiguous,
    /// The target has a fragment.
    BadTarget,
    /// A chunked body breaks the rules of its framing.
    BrokenBody,
}

/// A byte of a request's target that has to be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignByte {
    /// Where it is in the bytes that were fed.
    pub at: usize,
    /// Where it is in the target.
    pub in_target: usize,
    /// The number of its request on the connection.
    pub request: u64,
}

impl HeadScan {
    /// Takes in what arrived, and notes the bytes that the codec's URI parser would refuse.
    pub fn feed(&mut self, bytes: &[u8], foreign: &mut Vec<ForeignByte>) -> Result<(), ScanFault> {
        self.feed_all(bytes, foreign).inspect_err(|_| self.state = ScanState::Over(self.request()))
    }

    /// The number of the request that the latest byte belongs to, counted from one.
    pub fn request(&self) -> u64 {
        match self.state {
            ScanState::Head => self.heads + 1,
            ScanState::Body(_) | ScanState::Chunked(_) => self.heads,
            ScanState::Over(request) => request,
        }
    }

    /// What the chunks of the latest body have announced, and the number of its request.
    pub fn announced(&self) -> (u64, u64) {
        (self.heads, self.announced)
    }

    /// How long the latest request line is, as far as it has come.
    pub fn request_line(&self) -> usize {
        self.request_line
    }

    fn feed_all(&mut self, bytes: &[u8], foreign: &mut Vec<ForeignByte>) -> Result<(), ScanFault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.state {
                ScanState::Head => {
                    let at = bytes.len() - rest.len();
                    rest = self.feed_line(rest, at, foreign)?;
                }
                ScanState::Body(left) => {
                    let (length, behind) = skip(left, rest);
                    rest = behind;
                    self.state = if left == length { ScanState::Head } else { ScanState::Body(left - length) };
                }
                ScanState::Chunked(chunk) => rest = self.feed_chunk(chunk, rest)?,
                ScanState::Over(_) => return Ok(()),
            }
        }
        Ok(())
    }

    fn feed_chunk<'b>(&mut self, chunk: Chunk, bytes: &'b [u8]) -> Result<&'b [u8], BrokenChunk> {
        let (next, rest) = match chunk {
            Chunk::Data(left) => {
                let (length, rest) = skip(left, bytes);
                (Chunk::after_data(left, length), rest)
            }
            chunk => (chunk.after(bytes[0])?, &bytes[1..]),
        };
        if let (Chunk::SizeLf(_), Chunk::Data(size)) = (chunk, next) {
            self.announced = self.announced.saturating_add(size);
        }
        self.state = if next == Chunk::End { ScanState::Head } else { ScanState::Chunked(next) };
        Ok(rest)
    }

    fn feed_line<'b>(
        &mut self,
        bytes: &'b [u8],
        at: usize,
        foreign: &mut Vec<ForeignByte>,
    ) -> Result<&'b [u8], ScanFault> {
        let (line, rest, complete) = match memchr::memchr(b'\n', bytes) {
            Some(end) => (&bytes[..end], &bytes[end + 1..], true),
            None => (bytes, &bytes[bytes.len()..], false),
        };
        if self.lines == 0 {
            self.look_at_target(line, at, foreign)?;
        }
        self.remember(line);
        if complete {
            self.end_line()?;
        }
        Ok(rest)
    }

    fn look_at_target(&mut self, part: &[u8], at: usize, foreign: &mut Vec<ForeignByte>) -> Result<(), ScanFault> {
        let mut begin = 0;
        if self.target == Target::Before {
            let Some(space) = memchr::memchr(b' ', part) else { return Ok(()) };
            begin = space + 1;
            self.target = Target::At(self.line_len + begin);
        }
        let Target::At(start) = self.target else { return Ok(()) };
        for (index, byte) in part.iter().enumerate().skip(begin) {
            match TargetByte::of(*byte) {
                TargetByte::Plain if *byte == b' ' => {
                    self.target = Target::After;
                    break;
                }
                TargetByte::Plain => {}
                TargetByte::Fragment => return Err(ScanFault::BadTarget),
                TargetByte::ToEncode => foreign.push(ForeignByte {
                    at: at + index,
                    in_target: self.line_len + index - start,
                    request: self.heads + 1,
                }),
            }
        }
        Ok(())
    }

    fn remember(&mut self, part: &[u8]) {
        let before = self.line_len;
        if before < NAME {
            for (kept, byte) in self.name[before..].iter_mut().zip(part) {
                *kept = byte.to_ascii_lowercase();
            }
        }
        self.line_len += part.len();
        if self.lines == 0 {
            self.request_line = self.line_len;
        } else if self.has_name(CONTENT_LENGTH) {
            self.length = self.length.with(&part[CONTENT_LENGTH.len().saturating_sub(before)..]);
        }
        if let Some(last) = part.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }

    fn has_name(&self, name: &[u8]) -> bool {
        self.line_len >= name.len() && self.name.starts_with(name)
    }

    fn end_line(&mut self) -> Result<(), ScanFault> {
        if !self.ends_in_cr {
            return Err(ScanFault::Ambiguous);
        }
        if self.line_len == 1 {
            // An empty line before the request line is skipped (RFC 9112, 2.2); after it, it ends the head.
            if self.lines > 0 {
                self.end_head()?;
            }
        } else {
            self.end_field()?;
            self.lines += 1;
        }
        self.line_len = 0;
        self.ends_in_cr = false;
        self.target = Target::Before;
        Ok(())
    }

    /// The request line is no field, whatever it looks like.
    fn end_field(&mut self) -> Result<(), ScanFault> {
        if self.lines == 0 {
            return Ok(());
        }
        if self.has_name(CONTENT_LENGTH) {
            self.length_fields += 1;
            self.content_length = Some(std::mem::take(&mut self.length).value().ok_or(ScanFault::Ambiguous)?);
        } else if self.has_name(TRANSFER_ENCODING) {
            self.encoding_fields += 1;
        }
        if self.length_fields > 1 || self.encoding_fields > 1 {
            return Err(ScanFault::Ambiguous);
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), ScanFault> {
        let state = match (self.encoding_fields, self.content_length) {
            (0, None | Some(0)) => ScanState::Head,
            (0, Some(length)) => ScanState::Body(length),
            (_, None) => ScanState::Chunked(Chunk::Start),
            (_, Some(_)) => return Err(ScanFault::Ambiguous),
        };
        let (request_line, heads) = (self.request_line, self.heads + 1);
        *self = Self { state, request_line, heads, ..Self::default() };
        Ok(())
    }
}

impl From<BrokenChunk> for ScanFault {
    fn from(BrokenChunk: BrokenChunk) -> Self {
        Self::BrokenBody
    }
}

/// Steps over at most `left` bytes; how many, and what is behind them.
fn skip(left: u64, bytes: &[u8]) -> (u64, &[u8]) {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    (length as u64, &bytes[length..])
}

#[cfg(test)]
mod tests;
