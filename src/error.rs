//! The one table from failure to answer: status, stable reason for log and metric, and the sentence the client reads.
//!
//! A new failure is a new row here. Failures are decided in `decide` and `http`, and answered in `http`.

use http::StatusCode;

macro_rules! failures {
    ($( $(#[$doc:meta])* $name:ident = $status:ident, $reason:literal, $text:literal; )*) => {
        /// Why edgectl itself answers instead of the backend.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Failure { $( $(#[$doc])* $name, )* }

        impl Failure {
            /// Every row, for tests and docs.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            pub fn status(self) -> StatusCode {
                match self { $( Self::$name => StatusCode::$status, )* }
            }

            /// Stable: log field `error`, metric label `reason`.
            pub fn reason(self) -> &'static str {
                match self { $( Self::$name => $reason, )* }
            }

            /// What the error page says.
            pub fn text(self) -> &'static str {
                match self { $( Self::$name => $text, )* }
            }
        }
    };
}

failures! {
    /// The head is not HTTP, or breaks its rules.
    BadRequest = BAD_REQUEST, "bad_request", "the request could not be understood";
    /// RFC 9112, 3.2: none, two, or not a host name.
    BadHost = BAD_REQUEST, "bad_host", "the request must name one valid host";
    /// RFC 9112, 6.3: lengths that could be read in two ways.
    BadFraming = BAD_REQUEST, "bad_framing", "the length of the request's body is ambiguous";
    /// RFC 9110, 7.6.1: Connection nominates a header that must arrive.
    BadConnectionHeader = BAD_REQUEST, "bad_connection_header", "the Connection header names a field that may not be dropped";
    BadPath = BAD_REQUEST, "bad_path", "the path could not be understood";
    HeadTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", "the request's headers are too large";
    UriTooLong = URI_TOO_LONG, "uri_too_long", "the request's address is too long";
    BodyTooLarge = PAYLOAD_TOO_LARGE, "body_too_large", "the request's body is too large";
    BodyTimeout = REQUEST_TIMEOUT, "body_timeout", "the request's body did not arrive in time";
    MethodNotAllowed = METHOD_NOT_ALLOWED, "method_not_allowed", "this method is not served";
    Denied = FORBIDDEN, "denied", "access is not allowed from this address";
    NoSite = NOT_FOUND, "no_site", "no site is served under this host name";
    /// RFC 9110, 15.5.20: on TLS; also when SNI and Host belong to different sites.
    Misdirected = MISDIRECTED_REQUEST, "misdirected", "no site is served under this host name on this connection";
    /// The connection was made under other rules for client certificates than the site has now.
    ClientRulesChanged = MISDIRECTED_REQUEST, "client_rules_changed", "what this site asks of its clients has changed; connect again";
    Limited = TOO_MANY_REQUESTS, "limited", "too many requests; try again later";
    NoHealthyBackend = SERVICE_UNAVAILABLE, "no_healthy_backend", "no healthy backend; try again shortly";
    Maintenance = SERVICE_UNAVAILABLE, "maintenance", "down for maintenance; try again shortly";
    /// Held while the service is paused, for as long as was allowed, or one too many to hold.
    Paused = SERVICE_UNAVAILABLE, "paused", "paused for a moment; try again shortly";
    /// Every backend that serves had `max_in_flight` inside for all of `queue_timeout`.
    QueueTimeout = SERVICE_UNAVAILABLE, "queue_timeout", "all backends are busy; try again shortly";
    /// As many as may wait for a backend wait already.
    QueueFull = SERVICE_UNAVAILABLE, "queue_full", "all backends are busy; try again later";
    /// Not a connection more, for lack of file descriptors: nothing is wrong with the backend.
    OutOfDescriptors = SERVICE_UNAVAILABLE, "out_of_descriptors", "too many connections are open; try again shortly";
    ConnectFailed = BAD_GATEWAY, "connect_failed", "the backend could not be reached";
    ConnectTimeout = GATEWAY_TIMEOUT, "connect_timeout", "the backend could not be reached in time";
    UpstreamReset = BAD_GATEWAY, "upstream_reset", "the backend closed the connection without an answer";
    UpstreamInvalid = BAD_GATEWAY, "upstream_invalid", "the backend's answer could not be understood";
    /// More than the service's `response_headers` or `response_header_size`, or than an HTTP/2 client takes.
    UpstreamHeadTooLarge = BAD_GATEWAY, "upstream_head_too_large", "the head of the backend's answer is too large";
    ResponseTimeout = GATEWAY_TIMEOUT, "response_timeout", "the backend did not answer in time";
    DrainCut = SERVICE_UNAVAILABLE, "drain_cut", "the backend was taken out of service";
    Internal = INTERNAL_SERVER_ERROR, "internal", "an error of the proxy itself";
}

impl Failure {
    /// Whether the connection must not be used again: what follows on it can't be trusted or was not read.
    pub fn closes(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::BadHost
                | Self::BadFraming
                | Self::BadConnectionHeader
                | Self::HeadTooLarge
                | Self::UriTooLong
                | Self::BodyTooLarge
                | Self::BodyTimeout
        )
    }

    /// Whether no later request on the connection can be served either, over HTTP/2 too.
    pub fn outdates_connection(self) -> bool {
        self == Self::ClientRulesChanged
    }
}

/// How an exchange broke off after its head was answered, or without an answer: log field `error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    ClientAborted,
    ClientTooSlow,
    UpstreamAborted,
    UpstreamTooSlow,
    DrainCut,
    /// What its site asks of clients has changed, its client does not fit any more, and it would not have ended by itself.
    ClientRulesChanged,
    /// It would not have ended by itself, and the daemon is leaving.
    Shutdown,
}

impl Broken {
    pub fn reason(self) -> &'static str {
        match self {
            Self::ClientAborted => "client_aborted",
            Self::ClientTooSlow => "client_too_slow",
            Self::UpstreamAborted => "upstream_aborted",
            Self::UpstreamTooSlow => "upstream_too_slow",
            Self::DrainCut => "drain_cut",
            Self::ClientRulesChanged => "client_rules_changed",
            Self::Shutdown => "shutdown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_unique_and_stable_in_form() {
        let mut reasons: Vec<_> = Failure::ALL.iter().map(|f| f.reason()).collect();
        assert!(reasons.iter().all(|r| r.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!(reasons.len(), Failure::ALL.len());
    }
}
