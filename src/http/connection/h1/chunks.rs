//! The framing of a chunked body, byte by byte (RFC 9112, 7.1). Pure.
//!
//! Stricter than the codec, which takes a NUL in an extension and a bare LF inside a trailer line: a server behind us may end
//! the body elsewhere.

/// What comes next in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    /// A size's first digit.
    Start,
    /// The rest of a size.
    Size(u64),
    /// Whitespace behind a size, before an extension or the line's end.
    Space(u64),
    /// An extension.
    Extension(u64),
    /// The LF of a size line.
    SizeLf(u64),
    /// This many bytes of data.
    Data(u64),
    DataCr,
    DataLf,
    /// A trailer line, or the empty line that ends the body.
    Trailer,
    /// The rest of a trailer line.
    TrailerField,
    TrailerLf,
    EndLf,
    /// The body has ended.
    End,
}

/// No body has this byte here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BrokenChunk;

impl Chunk {
    /// What comes after `byte`, which is not one of [`Chunk::Data`].
    pub fn after(self, byte: u8) -> Result<Self, BrokenChunk> {
        Ok(match (self, byte) {
            (Self::Start, digit) => Self::Size(hex(digit).ok_or(BrokenChunk)?),
            (Self::Size(size) | Self::Space(size), b' ' | b'\t') => Self::Space(size),
            (Self::Size(size) | Self::Space(size), b';') => Self::Extension(size),
            (Self::Size(size) | Self::Space(size) | Self::Extension(size), b'\r') => Self::SizeLf(size),
            (Self::Size(size), digit) => {
                let digit = hex(digit).ok_or(BrokenChunk)?;
                Self::Size(size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(BrokenChunk)?)
            }
            (Self::Extension(size), byte) if is_text(byte) => Self::Extension(size),
            (Self::SizeLf(0) | Self::TrailerLf, b'\n') => Self::Trailer,
            (Self::SizeLf(size), b'\n') => Self::Data(size),
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Start,
            (Self::Trailer, b'\r') => Self::EndLf,
            (Self::Trailer | Self::TrailerField, byte) if is_text(byte) => Self::TrailerField,
            (Self::TrailerField, b'\r') => Self::TrailerLf,
            (Self::EndLf, b'\n') => Self::End,
            _ => return Err(BrokenChunk),
        })
    }

    /// What comes after `length` bytes of a chunk's data, which has no fewer.
    pub fn after_data(left: u64, length: u64) -> Self {
        if left == length { Self::DataCr } else { Self::Data(left - length) }
    }
}

fn hex(digit: u8) -> Option<u64> {
    char::from(digit).to_digit(16).map(u64::from)
}

/// HTAB, SP, VCHAR or obs-text (RFC 9110, 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(body: &[u8]) -> Result<Chunk, BrokenChunk> {
        body.iter().try_fold(Chunk::Start, |chunk, byte| match chunk {
            Chunk::Data(left) => Ok(Chunk::after_data(left, 1)),
            chunk => chunk.after(*byte),
        })
    }

    #[test]
    fn each_part_of_a_body_is_followed() {
        for (body, chunk) in [
            ("", Chunk::Start),
            ("1", Chunk::Size(1)),
            ("1F", Chunk::Size(31)),
            ("1f;a=b", Chunk::Extension(31)),
            ("2 \t", Chunk::Space(2)),
            ("2 ;a=\"b c\"", Chunk::Extension(2)),
            ("2\r", Chunk::SizeLf(2)),
            ("2\r\n", Chunk::Data(2)),
            ("2\r\n\n", Chunk::Data(1)),
            ("2\r\n\r\n", Chunk::DataCr),
            ("2\r\n\r\n\r", Chunk::DataLf),
            ("2\r\nab\r\n", Chunk::Start),
            ("ffffffffffffffff\r\n", Chunk::Data(u64::MAX)),
            ("0\r\n", Chunk::Trailer),
            ("0;x\r\nA: b", Chunk::TrailerField),
            ("0\r\nA: b\r", Chunk::TrailerLf),
            ("0\r\nA: b\r\n", Chunk::Trailer),
            ("0\r\n\r", Chunk::EndLf),
            ("0\r\n\r\n", Chunk::End),
            ("000\r\nA: b\r\n\r\n", Chunk::End),
        ] {
            assert_eq!(after(body.as_bytes()), Ok(chunk), "{body:?}");
        }
    }

    #[test]
    fn a_byte_that_can_be_read_in_two_ways_breaks_the_body() {
        for body in [
            "\r\n",
            "\n",
            ";a\r\n",
            " 1",
            "x",
            "-1",
            "+1",
            "0x1",
            "1 1",
            "1\n",
            "1\r\r",
            "1\r1",
            "1;a\0",
            "1;a\n",
            "1;\u{7f}",
            "1;a\rb",
            "10000000000000000",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\r\r",
            "0\r\n\n",
            "0\r\nA: b\n",
            "0\r\nA: b\rc",
            "0\r\nA: b\n\r\n",
            "0\r\nA: \0",
            "0\r\n\0",
            "0\r\n\rA",
        ] {
            assert_eq!(after(body.as_bytes()), Err(BrokenChunk), "{body:?}");
        }
    }
}
