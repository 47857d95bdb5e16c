//! What is sent where the operator has no page of their own.

use super::said::Said;

/// No style of its own: a strict Content-Security-Policy forbids one, and the browser's has both schemes.
pub(super) fn html(said: &Said<'_>) -> String {
    let Said { status, text, request_id, .. } = said;
    let (code, title, text) = (status.as_u16(), title(said), escaped(text));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{code} {title}</title>\n</head>\n\
         <body>\n<main>\n<h1>{code} {title}</h1>\n<p>{text}</p>\n<p><small>Request <code>{request_id}</code></small></p>\n\
         </main>\n</body>\n</html>\n"
    )
}

pub(super) fn json(said: &Said<'_>) -> String {
    let value = serde_json::json!({
        "type": "about:blank",
        "title": title(said),
        "status": said.status.as_u16(),
        "detail": said.text,
        "code": said.reason,
        "request_id": said.request_id,
    });
    format!("{value}\n")
}

pub(super) fn text(said: &Said<'_>) -> String {
    let Said { status, text, request_id, .. } = said;
    format!("{} {}: {text}\nrequest {request_id}\n", status.as_u16(), title(said))
}

/// As text within HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn title(said: &Said<'_>) -> &'static str {
    said.status.canonical_reason().unwrap_or("Error")
}
