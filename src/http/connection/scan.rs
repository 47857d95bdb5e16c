//! Finds in the bytes of a head what RFC 9112 forbids and the codec's parser lets pass.
//!
//! hyper drops a Content-Length beside a Transfer-Encoding, merges equal Content-Lengths and takes a bare LF for a line's
//! end. Each of these is a way to smuggle requests (RFC 9112, 2.2, 6.1, 6.3 and 11.2), so the bytes are scanned before hyper
//! reads them. Every body is framed anew towards the backend, so nothing depends on this alone.

/// What is kept of a line: room for `content-length: ` with fifteen digits and a CR.
const PREFIX: usize = 32;

/// Follows one connection's bytes from head to head.
#[derive(Debug, Default)]
pub struct HeadScan {
    state: ScanState,
    /// The current line's first bytes, in lower case.
    prefix: [u8; PREFIX],
    prefix_len: usize,
    line_len: usize,
    ends_in_cr: bool,
    content_length: Option<u64>,
    length_fields: u8,
    encoding_fields: u8,
    lines: u32,
    /// Length of the latest request line, as far as it has come.
    request_line: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ScanState {
    #[default]
    Head,
    /// This many bytes of a body are still to come.
    Body(u64),
    /// A chunked body (RFC 9112, 7.1).
    Chunked(Chunk),
    /// A length that we did not understand: the codec decides. Taken up again when the exchange is over.
    Unknown,
}

/// Where in a chunked body the stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// In a size line; `true` once its digits are over.
    Size(u64, bool),
    /// This many bytes of data and its CRLF are still to come.
    Data(u64),
    /// After the last chunk; whether the current line has anything in it.
    Trailer(bool),
}

/// The head is ambiguous; the connection can't be trusted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ambiguous;

impl HeadScan {
    /// Takes in what arrived.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguous> {
        while !bytes.is_empty() {
            match self.state {
                ScanState::Unknown => return Ok(()),
                ScanState::Chunked(chunk) => bytes = self.feed_chunk(chunk, bytes),
                ScanState::Body(left) => {
                    let skip = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[skip..];
                    self.state = match left - skip as u64 {
                        0 => ScanState::Head,
                        left => ScanState::Body(left),
                    };
                }
                ScanState::Head => bytes = self.feed_line(bytes)?,
            }
        }
        Ok(())
    }

    /// The exchange before is over and its body read: what comes next is a head.
    pub fn expect_head(&mut self) {
        if self.state == ScanState::Unknown {
            *self = Self::default();
        }
    }

    /// How long the latest request line is, as far as it has come.
    pub fn request_line(&self) -> usize {
        self.request_line
    }

    /// Steps over a part of a chunked body.
    fn feed_chunk<'b>(&mut self, chunk: Chunk, bytes: &'b [u8]) -> &'b [u8] {
        if let Chunk::Data(left) = chunk {
            let skip = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - skip as u64;
            self.state = ScanState::Chunked(if left == 0 { Chunk::Size(0, false) } else { Chunk::Data(left) });
            return &bytes[skip..];
        }
        let (byte, rest) = (bytes[0], &bytes[1..]);
        self.state = match (chunk, byte) {
            (Chunk::Size(0, _) | Chunk::Trailer(true), b'\n') => ScanState::Chunked(Chunk::Trailer(false)),
            (Chunk::Size(size, _), b'\n') => {
                size.checked_add(2).map_or(ScanState::Unknown, |n| ScanState::Chunked(Chunk::Data(n)))
            }
            (Chunk::Size(size, false), digit) if digit.is_ascii_hexdigit() => {
                let digit = u64::from(char::from(digit).to_digit(16).unwrap_or(0));
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit));
                size.map_or(ScanState::Unknown, |size| ScanState::Chunked(Chunk::Size(size, false)))
            }
            (Chunk::Size(size, _), _) => ScanState::Chunked(Chunk::Size(size, true)),
            (Chunk::Trailer(false), b'\n') => ScanState::Head,
            (Chunk::Trailer(filled), byte) => ScanState::Chunked(Chunk::Trailer(filled || byte != b'\r')),
            (Chunk::Data(_), _) => ScanState::Unknown,
        };
        rest
    }

    fn feed_line<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], Ambiguous> {
        let (line, rest, complete) = match memchr::memchr(b'\n', bytes) {
            Some(end) => (&bytes[..end], &bytes[end + 1..], true),
            None => (bytes, &bytes[bytes.len()..], false),
        };
        self.remember(line);
        if complete {
            self.end_line()?;
        }
        Ok(rest)
    }

    fn remember(&mut self, part: &[u8]) {
        let room = (PREFIX - self.prefix_len).min(part.len());
        for (kept, byte) in self.prefix[self.prefix_len..].iter_mut().zip(&part[..room]) {
            *kept = byte.to_ascii_lowercase();
        }
        self.prefix_len += room;
        self.line_len += part.len();
        if self.lines == 0 {
            self.request_line = self.line_len;
        }
        if let Some(last) = part.last() {
            self.ends_in_cr = *last == b'\r';
        }
    }

    fn end_line(&mut self) -> Result<(), Ambiguous> {
        if self.line_len == 0 || !self.ends_in_cr {
            return Err(Ambiguous);
        }
        let name = &self.prefix[..self.prefix_len];
        if self.line_len == 1 {
            // An empty line before the request line is skipped (RFC 9112, 2.2); after it, it ends the head.
            if self.lines > 0 {
                self.end_head()?;
            }
        } else {
            self.lines += 1;
            if name.starts_with(b"content-length:") {
                self.length_fields += 1;
                self.content_length = parse_length(name).filter(|_| self.line_len <= PREFIX);
            } else if name.starts_with(b"transfer-encoding:") {
                self.encoding_fields += 1;
            }
            if self.length_fields > 1 || self.encoding_fields > 1 {
                return Err(Ambiguous);
            }
        }
        self.prefix_len = 0;
        self.line_len = 0;
        self.ends_in_cr = false;
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Ambiguous> {
        if self.length_fields > 0 && self.encoding_fields > 0 {
            return Err(Ambiguous);
        }
        let next = match (self.encoding_fields, self.length_fields, self.content_length) {
            (0, 0, _) => ScanState::Head,
            (0, _, Some(length)) => ScanState::Body(length),
            (0, _, None) => ScanState::Unknown,
            _ => ScanState::Chunked(Chunk::Size(0, false)),
        };
        *self = Self { state: next, request_line: self.request_line, ..Self::default() };
        if next == ScanState::Body(0) {
            self.state = ScanState::Head;
        }
        Ok(())
    }
}

fn parse_length(line: &[u8]) -> Option<u64> {
    let colon = line.iter().position(|b| *b == b':')?;
    std::str::from_utf8(&line[colon + 1..]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(parts: &[&str]) -> Result<(), Ambiguous> {
        let mut scan = HeadScan::default();
        parts.iter().try_for_each(|part| scan.feed(part.as_bytes()))
    }

    fn bytewise(text: &str) -> Result<(), Ambiguous> {
        let mut scan = HeadScan::default();
        text.as_bytes().iter().try_for_each(|b| scan.feed(&[*b]))
    }

    #[test]
    fn clean_heads_pass_in_any_pieces() {
        let clean = [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\na;x=\"1\"\r\n\n\n34567890\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ];
        for text in clean {
            assert_eq!(scan(&[text]), Ok(()), "{text:?}");
            assert_eq!(bytewise(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn ambiguous_heads_are_found() {
        let bad = [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-ENCODING: chunked\r\nX: y\r\ncontent-LENGTH: 4\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\nGET / HTTP/1.1\nHost: a\r\n\r\n",
        ];
        for text in bad {
            assert_eq!(scan(&[text]), Err(Ambiguous), "{text:?}");
            assert_eq!(bytewise(text), Err(Ambiguous), "{text:?}");
        }
    }

    /// Where the scan is after these bytes, whole and one by one.
    fn state_after(text: &str) -> ScanState {
        let mut whole = HeadScan::default();
        whole.feed(text.as_bytes()).unwrap();
        let mut bytewise = HeadScan::default();
        text.as_bytes().iter().for_each(|byte| bytewise.feed(&[*byte]).unwrap());
        assert_eq!(whole.state, bytewise.state, "{text:?}");
        whole.state
    }

    #[test]
    fn the_scan_knows_where_a_body_ends() {
        let post = |fields: &str, body: &str| state_after(&format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{body}"));
        for (length, body, state) in [
            ("0", "", ScanState::Head),
            ("3", "", ScanState::Body(3)),
            ("3", "a", ScanState::Body(2)),
            ("3", "abc", ScanState::Head),
            ("007", "abc", ScanState::Body(4)),
            ("none", "abc", ScanState::Unknown),
            ("-1", "abc", ScanState::Unknown),
            ("18446744073709551616", "abc", ScanState::Unknown),
        ] {
            assert_eq!(post(&format!("Content-Length: {length}"), body), state, "{length:?} {body:?}");
        }
        // Longer than what is kept of a line: the codec decides.
        assert_eq!(post("Content-Length:                 3", "abc"), ScanState::Unknown);
        assert_eq!(post("X-Content-Length: 3", ""), ScanState::Head, "another field");
    }

    #[test]
    fn the_scan_knows_where_a_chunked_body_ends() {
        let post = |body: &str| state_after(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        let chunked = ScanState::Chunked;
        for (body, state) in [
            ("", chunked(Chunk::Size(0, false))),
            ("1", chunked(Chunk::Size(1, false))),
            ("1F", chunked(Chunk::Size(31, false))),
            ("1f;a=b", chunked(Chunk::Size(31, true))),
            ("2 0", chunked(Chunk::Size(2, true))),
            ("2\r\n", chunked(Chunk::Data(4))),
            ("2\r\na\n", chunked(Chunk::Data(2))),
            ("2\r\nab\r\n", chunked(Chunk::Size(0, false))),
            ("0\r\n", chunked(Chunk::Trailer(false))),
            ("0;x\r\nA: b", chunked(Chunk::Trailer(true))),
            ("0\r\nA: b\r\n", chunked(Chunk::Trailer(false))),
            ("0\r\n\r\n", ScanState::Head),
            ("0\r\nA: b\r\n\r\n", ScanState::Head),
            ("00\r\n\r\n", ScanState::Head),
            ("ffffffffffffffff\r\n", ScanState::Unknown),
            ("10000000000000000\r\n", ScanState::Unknown),
        ] {
            assert_eq!(post(body), state, "{body:?}");
        }
    }

    #[test]
    fn a_length_that_was_not_understood_is_forgotten_with_its_exchange() {
        let mut scan = HeadScan::default();
        scan.feed(b"POST / HTTP/1.1\r\nContent-Length: ?\r\n\r\nGET / HTTP/1.1\n\n").unwrap();
        scan.expect_head();
        assert_eq!(scan.feed(b"GET / HTTP/1.1\nHost: a\r\n\r\n"), Err(Ambiguous));
        // In the middle of a head or a body, nothing is forgotten.
        let mut scan = HeadScan::default();
        scan.feed(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n").unwrap();
        scan.expect_head();
        assert_eq!(scan.state, ScanState::Body(1));
    }

    #[test]
    fn the_request_line_is_measured_as_it_comes() {
        let mut scan = HeadScan::default();
        for (part, length) in [("GET /", 5), ("abc HTTP/1.1\r", 18), ("\nHost: a\r\n", 18), ("\r\n", 18), ("GET", 3)] {
            scan.feed(part.as_bytes()).unwrap();
            assert_eq!(scan.request_line(), length, "{part:?}");
        }
    }

    #[test]
    fn each_kind_of_length_field_may_come_once() {
        let head = |fields: &str| scan(&[&format!("POST / HTTP/1.1\r\n{fields}\r\n")]);
        assert_eq!(head("Content-Length: 1\r\nA: b\r\n"), Ok(()));
        assert_eq!(head("Transfer-Encoding: chunked\r\nA: b\r\n"), Ok(()));
        assert_eq!(head("Content-Length: 1\r\nContent-Length: 2\r\n"), Err(Ambiguous));
        assert_eq!(head("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), Err(Ambiguous));
        assert_eq!(head("A: b\r\r\n"), Ok(()), "the codec refuses it");
    }
}
