//! The bodies of the proxy's own answers: a small page for people, problem+json for programs.
//!
//! Nothing a client sent is in them but the request id, whose characters are checked; what an operator wrote is escaped.

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// A body and what it is.
pub struct Page {
    pub content_type: HeaderValue,
    pub body: Bytes,
}

/// `reason` is stable (RFC 9457's `code` here), `text` is for people.
pub fn problem(status: StatusCode, reason: &str, text: &str, request_id: &str, as_json: bool) -> Page {
    if as_json { json(status, reason, text, request_id) } else { html(status, text, request_id) }
}

/// The page where the request's headers could not be read.
pub fn html(status: StatusCode, text: &str, request_id: &str) -> Page {
    let title = status.canonical_reason().unwrap_or("Error");
    let code = status.as_u16();
    let text = escaped(text);
    let body = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{code} {title}</title></head>\n\
         <body><h1>{code} {title}</h1>\n<p>{text}</p>\n<p><small>{request_id}</small></p></body></html>\n"
    );
    Page { content_type: HeaderValue::from_static("text/html; charset=utf-8"), body: body.into() }
}

/// As text within HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn json(status: StatusCode, reason: &str, text: &str, request_id: &str) -> Page {
    let title = status.canonical_reason().unwrap_or("Error");
    let value = serde_json::json!({
        "type": "about:blank",
        "title": title,
        "status": status.as_u16(),
        "detail": text,
        "code": reason,
        "request_id": request_id,
    });
    Page { content_type: HeaderValue::from_static("application/problem+json"), body: format!("{value}\n").into() }
}
