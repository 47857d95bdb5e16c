//! What the codec does not write: the answer to a head that it could not parse, of the same form as every other answer, logged and
//! counted like it; and early hints.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::access::Entry;
use crate::error::Failure;
use crate::headers::X_REQUEST_ID;
use crate::http::connection::conn::Conn;
use crate::policy::pages::{PageForm, Said, page};
use crate::types::{RequestId, TlsVersion};

/// The status of an answer that hyper made by itself: a 4xx head with an empty body and nothing of ours.
pub(super) fn status_of_bare(written: &[u8]) -> Option<StatusCode> {
    let bare = written.starts_with(b"HTTP/1.1 4") && written.len() < 256 && written.ends_with(b"\r\n\r\n");
    let ours = |needle: &[u8]| written.windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle));
    if !bare || ours(b"x-request-id") {
        return None;
    }
    StatusCode::from_bytes(written.get(9..12)?).ok()
}

/// A whole HTTP/1.1 answer as bytes, already in the log.
pub(super) fn answer_unparsed(conn: &Rc<Conn>, failure: Failure) -> Vec<u8> {
    let id = RequestId::new();
    let status = failure.status();
    let said = Said { status, reason: failure.reason(), text: failure.text(), request_id: id.as_str() };
    let page = page(&said, PageForm::Text, None);
    let snapshot = conn.worker().snapshot();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, page.content_type);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(page.body.len()));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::DATE, conn.worker().dates.now());
    snapshot.stray.security.apply(&mut headers, conn.peer().tls);
    headers.insert(X_REQUEST_ID, id.header_value());
    let mut out = head(status, &headers);
    out.extend_from_slice(&page.body);
    record(conn, &id, failure, page.body.len() as u64);
    out
}

/// A head of an interim answer (RFC 8297).
pub(super) fn early_hints(fields: &HeaderMap) -> Vec<u8> {
    head(StatusCode::EARLY_HINTS, fields)
}

fn head(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn record(conn: &Conn, id: &RequestId, failure: Failure, bytes_out: u64) {
    let worker = conn.worker();
    let stray = worker.snapshot().stray.clone();
    let status = failure.status().as_u16();
    stray.series.record(worker.id, None, &Method::GET, status, Duration::ZERO, bytes_out);
    let mut log = worker.log.borrow_mut();
    if !log.is_on() {
        return;
    }
    log.record(&Entry {
        time: SystemTime::now(),
        request_id: id.as_str(),
        client: conn.peer().ip,
        method: "-",
        host: "",
        path: "",
        query: None,
        protocol: "HTTP/1.1",
        tls: conn.peer().tls_version.map(TlsVersion::as_str),
        status,
        bytes_in: 0,
        bytes_out,
        duration: Duration::ZERO,
        upstream: None,
        site: None,
        route: None,
        service: None,
        color: None,
        backend: None,
        attempts: 0,
        limited: None,
        error: Some(failure.reason()),
        user_agent: None,
        referer: None,
        trace_id: None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_answer_of_the_codec_is_taken_for_its_refusal() {
        let status = |written: &str| status_of_bare(written.as_bytes()).map(|status| status.as_u16());
        let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(status(bare), Some(400));
        assert_eq!(status(&bare.replace("400", "431")), Some(431));
        for other in [
            bare.replace("400", "500"),
            bare.replace("400", "200"),
            bare.replace("connection: close", "X-Request-ID: 1"),
            bare.replace("\r\n\r\n", "\r\n\r\nbody"),
            bare.replace("400", "4x0"),
            bare.replace("connection", &"c".repeat(256)),
            bare.replace("HTTP/1.1 ", "HTTP/1.0 "),
            "HTTP/1.1 4\r\n\r\n".to_owned(),
            String::new(),
        ] {
            assert_eq!(status(&other), None, "{other:?}");
        }
    }
}
