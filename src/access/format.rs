//! The three formats of a line: `json` for machines, `combined` as nginx's, `pretty` for a person at a terminal.
//!
//! Whatever a client sent, a line is one line, and in `json` one valid object.

use crate::config::AccessFormat;

use super::entry::Entry;
use super::json::Object;
use super::line::{self, push_bytes, push_ip, push_millis, push_number};
use super::mask;
use super::time::Stamp;

/// Appends the entry's line, its line feed included.
pub(super) fn write(out: &mut Vec<u8>, format: AccessFormat, entry: &Entry<'_>, stamp: &mut Stamp) {
    match format {
        AccessFormat::Json => json(out, entry, stamp),
        AccessFormat::Combined => combined(out, entry, stamp),
        AccessFormat::Pretty => pretty(out, entry, stamp),
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: &mut Stamp) {
    let mut object = Object::open(out);
    object.raw("time", |out| {
        out.push(b'"');
        stamp.rfc3339(out, entry.time);
        out.push(b'"');
    });
    object.text("request_id", Some(entry.request_id));
    object.raw("client", |out| {
        out.push(b'"');
        push_ip(out, entry.client);
        out.push(b'"');
    });
    object.text("method", Some(entry.method));
    object.text("host", Some(entry.host));
    object.text("path", Some(entry.path));
    object.masked("query", entry.query.map(str::as_bytes), mask::query);
    object.text("protocol", Some(entry.protocol));
    object.text("tls", entry.tls);
    object.number("status", entry.status);
    object.number("bytes_in", entry.bytes_in);
    object.number("bytes_out", entry.bytes_out);
    object.millis("duration_ms", Some(entry.duration));
    object.millis("upstream_ms", entry.upstream);
    object.text("site", entry.site);
    object.text("route", entry.route);
    object.text("service", entry.service);
    object.text("color", entry.color);
    object.text("backend", entry.backend);
    object.number("attempts", entry.attempts);
    object.text("limited", entry.limited);
    object.text("error", entry.error);
    object.bytes("user_agent", entry.user_agent);
    object.masked("referer", entry.referer, mask::url);
    object.text("trace_id", entry.trace_id);
    object.close();
}

/// nginx's `combined`: `$remote_addr - - [$time_local] "$request" $status $bytes "$referer" "$user_agent"`, in UTC.
fn combined(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: &mut Stamp) {
    push_ip(out, entry.client);
    out.extend_from_slice(b" - - [");
    stamp.clf(out, entry.time);
    out.extend_from_slice(b"] \"");
    line::escape(out, entry.method.as_bytes());
    out.push(b' ');
    target(out, entry);
    out.push(b' ');
    line::escape(out, entry.protocol.as_bytes());
    out.extend_from_slice(b"\" ");
    push_number(out, entry.status);
    out.push(b' ');
    push_number(out, entry.bytes_out);
    out.extend_from_slice(b" \"");
    mask::url(entry.referer.unwrap_or(b"-"), &mut |part| {
        line::escape(out, part)
    });
    out.extend_from_slice(b"\" \"");
    line::escape(out, entry.user_agent.unwrap_or(b"-"));
    out.push(b'"');
}

/// `12:00:00.123 200 GET example.com/path 12.345ms app/green 10.0.0.7:8000 203.0.113.9`, then what went wrong.
fn pretty(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: &mut Stamp) {
    stamp.clock(out, entry.time);
    out.push(b' ');
    push_number(out, entry.status);
    out.push(b' ');
    line::escape(out, entry.method.as_bytes());
    out.push(b' ');
    line::escape(out, entry.host.as_bytes());
    target(out, entry);
    out.push(b' ');
    push_millis(out, entry.duration);
    out.extend_from_slice(b"ms");
    push_bytes(out, b" ", entry.service);
    push_bytes(out, b"/", entry.color);
    push_bytes(out, b" ", entry.backend);
    out.push(b' ');
    push_ip(out, entry.client);
    push_bytes(out, b" limited=", entry.limited);
    push_bytes(out, b" error=", entry.error);
}

fn target(out: &mut Vec<u8>, entry: &Entry<'_>) {
    line::escape(out, entry.path.as_bytes());
    if let Some(query) = entry.query {
        out.push(b'?');
        mask::query(query.as_bytes(), &mut |part| line::escape(out, part));
    }
}
