//! The three formats of a line: `json` for machines, `combined` as nginx's, `pretty` for a person at a terminal.
//!
//! Whatever a client sent, a line is one line, and in `json` one valid object.

use crate::config::AccessFormat;

use super::entry::Entry;
use super::json::{JsonFields, key};
use super::line::{self, push_bytes, push_ip, push_millis, push_number};
use super::mask;
use super::time::TimeStamp;

/// Appends the entry's line, its line feed included.
pub(super) fn write(out: &mut Vec<u8>, format: AccessFormat, entry: &Entry<'_>, stamp: &mut TimeStamp) {
    match format {
        AccessFormat::Json => json(out, entry, stamp),
        AccessFormat::Combined => combined(out, entry, stamp),
        AccessFormat::Pretty => pretty(out, entry, stamp),
    }
    out.push(b'\n');
}

fn json(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: &mut TimeStamp) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.rfc3339(out, entry.time);
    out.push(b'"');
    let mut fields = JsonFields(out);
    fields.text(key!("request_id"), Some(entry.request_id));
    fields.ip(key!("client"), entry.client);
    fields.text(key!("method"), Some(entry.method));
    fields.text(key!("host"), Some(entry.host));
    fields.text(key!("path"), Some(entry.path));
    fields.masked(key!("query"), entry.query.map(str::as_bytes), mask::query);
    fields.text(key!("protocol"), Some(entry.protocol));
    fields.text(key!("tls"), entry.tls);
    fields.number(key!("status"), entry.status);
    fields.number(key!("bytes_in"), entry.bytes_in);
    fields.number(key!("bytes_out"), entry.bytes_out);
    fields.millis(key!("duration_ms"), Some(entry.duration));
    fields.millis(key!("upstream_ms"), entry.upstream);
    fields.text(key!("site"), entry.site);
    fields.text(key!("route"), entry.route);
    fields.text(key!("service"), entry.service);
    fields.text(key!("color"), entry.color);
    fields.text(key!("backend"), entry.backend);
    fields.number(key!("attempts"), entry.attempts);
    fields.text(key!("limited"), entry.limited);
    fields.text(key!("error"), entry.error);
    fields.bytes(key!("user_agent"), entry.user_agent);
    fields.masked(key!("referer"), entry.referer, mask::url);
    fields.text(key!("trace_id"), entry.trace_id);
    out.push(b'}');
}

/// nginx's `combined`: `$remote_addr - - [$time_local] "$request" $status $bytes "$referer" "$user_agent"`, in UTC.
fn combined(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: &mut TimeStamp) {
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
    mask::url(entry.referer.unwrap_or(b"-"), &mut |part| line::escape(out, part));
    out.extend_from_slice(b"\" \"");
    line::escape(out, entry.user_agent.unwrap_or(b"-"));
    out.push(b'"');
}

/// `12:00:00.123 200 GET example.com/path 12.345ms app/green 10.0.0.7:8000 203.0.113.9`, then what went wrong.
fn pretty(out: &mut Vec<u8>, entry: &Entry<'_>, stamp: &mut TimeStamp) {
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
