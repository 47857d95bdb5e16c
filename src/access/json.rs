//! One JSON object, written field by field without a value tree (RFC 8259).
//!
//! Strings are copied in blocks of 16 bytes as long as nothing needs escaping. Bytes that are no UTF-8 become U+FFFD, so a
//! line always parses. Every field is always there, `null` if it has nothing to say: one schema for all lines.

use std::time::Duration;

use super::line::{push_millis, push_number};
use super::mask::Mask;

pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    opener: u8,
}

impl<'o> Object<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Self {
        Self { out, opener: b'{' }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// The caller writes a valid value.
    pub(super) fn raw(&mut self, name: &'static str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.out);
    }

    pub(super) fn text(&mut self, name: &'static str, text: Option<&str>) {
        self.value(name, text, |out, text| quoted(out, |out| escape(out, text)));
    }

    pub(super) fn bytes(&mut self, name: &'static str, bytes: Option<&[u8]>) {
        self.value(name, bytes, |out, bytes| {
            quoted(out, |out| escape_bytes(out, bytes))
        });
    }

    pub(super) fn masked(&mut self, name: &'static str, bytes: Option<&[u8]>, mask: Mask) {
        self.value(name, bytes, |out, bytes| {
            quoted(out, |out| mask(bytes, &mut |part| escape_bytes(out, part)));
        });
    }

    pub(super) fn number(&mut self, name: &'static str, number: impl itoa::Integer) {
        self.value(name, Some(number), push_number);
    }

    pub(super) fn millis(&mut self, name: &'static str, duration: Option<Duration>) {
        self.value(name, duration, push_millis);
    }

    fn value<T>(
        &mut self,
        name: &'static str,
        value: Option<T>,
        write: impl FnOnce(&mut Vec<u8>, T),
    ) {
        self.name(name);
        match value {
            Some(value) => write(self.out, value),
            None => self.out.extend_from_slice(b"null"),
        }
    }

    fn name(&mut self, name: &'static str) {
        self.out.extend([self.opener, b'"']);
        self.opener = b',';
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn escape_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape(out: &mut Vec<u8>, text: &str) {
    let (blocks, rest) = text.as_bytes().as_chunks::<16>();
    for block in blocks {
        // Without a branch per byte, so that it becomes a few vector instructions.
        match block
            .iter()
            .fold(false, |any, &byte| any | needs_escape(byte))
        {
            false => out.extend_from_slice(block),
            true => escape_slowly(out, block),
        }
    }
    match rest.iter().any(|&byte| needs_escape(byte)) {
        false => out.extend_from_slice(rest),
        true => escape_slowly(out, rest),
    }
}

/// What RFC 8259 section 7 demands, and DEL for the terminal's sake.
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte == 0x7f)
}

fn escape_slowly(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ if needs_escape(byte) => {
                out.extend_from_slice(b"\\u00");
                out.extend([
                    DIGITS[usize::from(byte >> 4)],
                    DIGITS[usize::from(byte & 15)],
                ]);
            }
            _ => out.push(byte),
        }
    }
}
