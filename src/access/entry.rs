//! What one request left behind, as the log wants it: borrowed, nothing formatted yet.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// The fields of the access log, in its order. Absent ones are `None` and left out of JSON.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When the answer ended.
    pub time: SystemTime,
    pub request_id: &'a str,
    pub client: IpAddr,
    pub method: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    /// Without the `?`. Values of secrets are masked when it is written.
    pub query: Option<&'a str>,
    /// `HTTP/1.1`, `HTTP/2.0`.
    pub protocol: &'a str,
    /// `1.2`, `1.3`; `None`: plain.
    pub tls: Option<&'a str>,
    pub status: u16,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub duration: Duration,
    /// Until the backend's response head.
    pub upstream: Option<Duration>,
    pub site: Option<&'a str>,
    pub route: Option<&'a str>,
    pub service: Option<&'a str>,
    pub color: Option<&'a str>,
    pub backend: Option<&'a str>,
    /// Backends tried.
    pub attempts: u32,
    /// The zone that delayed or refused.
    pub limited: Option<&'a str>,
    /// The error table's stable reason.
    pub error: Option<&'a str>,
    /// As the client sent it: any bytes.
    pub user_agent: Option<&'a [u8]>,
    /// As the client sent it; secrets in its query are masked too.
    pub referer: Option<&'a [u8]>,
    pub trace_id: Option<&'a str>,
}
