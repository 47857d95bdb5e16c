//! One JSON object, written field by field without a value tree (RFC 8259).
//!
//! Strings that need no escaping, nearly all, are copied whole. A character that steers a terminal is escaped. Bytes that are no UTF-8 become U+FFFD, so a
//! line always parses. A field with nothing to say is
//! left out: a line is shorter by a fifth, and readers take what is missing for null.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::line::{push_ip, push_millis, push_number};
use super::mask::Mask;
use crate::types::is_control;

/// A field's name with everything around it, as one literal: the hot path copies, it doesn't compose.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(super) use key;

/// The fields after the first one, each begun by its [`key`].
pub(super) struct JsonFields<'o>(pub(super) &'o mut Vec<u8>);

impl JsonFields<'_> {
    pub(super) fn text(&mut self, key: &'static str, text: Option<&str>) {
        self.value(key, text, |out, text| quoted(out, |out| escape(out, text)));
    }

    pub(super) fn ip(&mut self, key: &'static str, ip: IpAddr) {
        self.value(key, Some(ip), |out, ip| quoted(out, |out| push_ip(out, ip)));
    }

    pub(super) fn bytes(&mut self, key: &'static str, bytes: Option<&[u8]>) {
        self.value(key, bytes, |out, bytes| {
            quoted(out, |out| escape_bytes(out, bytes));
        });
    }

    pub(super) fn masked(&mut self, key: &'static str, bytes: Option<&[u8]>, mask: Mask) {
        self.value(key, bytes, |out, bytes| {
            quoted(out, |out| mask(bytes, &mut |part| escape_bytes(out, part)));
        });
    }

    pub(super) fn number(&mut self, key: &'static str, number: impl itoa::Integer) {
        self.value(key, Some(number), push_number);
    }

    pub(super) fn millis(&mut self, key: &'static str, duration: Option<Duration>) {
        self.value(key, duration, push_millis);
    }

    fn value<T>(&mut self, key: &str, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        if let Some(value) = value {
            self.0.extend_from_slice(key.as_bytes());
            write(self.0, value);
        }
    }
}

fn quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

fn escape_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        return escape(out, text);
    }
    for chunk in bytes.utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else {
        escape_slowly(out, text);
    }
}

/// Without a branch per byte within a block, so that a block becomes a few vector instructions.
fn is_plain(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<16>();
    let any = |bytes: &[u8]| bytes.iter().fold(false, |any, &byte| any | needs_escape(byte));
    !blocks.iter().any(|block| any(block)) && !any(rest)
}

/// What has to be looked at: what RFC 8259 section 7 demands, DEL, and what is not ASCII.
#[expect(clippy::needless_bitwise_bool, reason = "without branches, a line's bytes are looked at several at once")]
fn needs_escape(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\') | (byte >= 0x7f)
}

/// For the terminal's sake, every character that steers one is escaped too.
fn escape_slowly(out: &mut Vec<u8>, text: &str) {
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // All of them have four digits at most.
            _ if is_control(character) => drop(write!(out, "\\u{:04x}", u32::from(character))),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
