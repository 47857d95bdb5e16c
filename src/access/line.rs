//! Pieces of a plain text line.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

/// nginx's default log escaping: quotes, backslashes, control characters and anything past ASCII as `\xXX`. So
/// nothing a client sends reaches a terminal as a command.
pub(super) fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => {
                out.extend([b'\\', b'x', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
}

/// The text after its label, or nothing.
pub(super) fn push_bytes(out: &mut Vec<u8>, label: &[u8], text: Option<&str>) {
    if let Some(text) = text {
        out.extend_from_slice(label);
        escape(out, text.as_bytes());
    }
}

pub(super) fn push_number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds with three decimals.
pub(super) fn push_millis(out: &mut Vec<u8>, duration: Duration) {
    // 64 bits are enough for half a million years, and much quicker to print than 128.
    let micros = duration.as_micros() as u64;
    push_number(out, micros / 1000);
    out.push(b'.');
    push_digits3(out, (micros % 1000) as u32);
}

/// Three digits of a number below 1000.
pub(super) fn push_digits3(out: &mut Vec<u8>, number: u32) {
    let digit = |value: u32| b'0' + (value % 10) as u8;
    out.extend([digit(number / 100), digit(number / 10), digit(number)]);
}

/// IPv4 by hand: most clients, and `fmt` costs three times as much.
pub(super) fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            push_number(out, a);
            for part in [b, c, d] {
                out.push(b'.');
                push_number(out, part);
            }
        }
        IpAddr::V6(v6) => {
            // Writing to a Vec does not fail.
            let _ = write!(out, "{v6}");
        }
    }
}
