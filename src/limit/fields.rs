//! What a refused client is told: RateLimit-Policy, RateLimit (draft-ietf-httpapi-ratelimit-headers) and Retry-After.
//!
//! Sent with refusals. Passing answers go without: the fields would cost every request an allocation or two, and
//! clients that behave don't need them; a caller that wants them may call this with a passing quota all the same.

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use crate::config::Zone;

use super::quota::{Quota, ZonePace};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Sets `RateLimit-Policy: "api";q=21;w=3` (so many requests at once, refilled in `w` seconds), `RateLimit:
/// "api";r=0;t=3` (so many left, all back in `t` seconds), and after a refusal `Retry-After`, in seconds rounded up,
/// at least 1.
pub fn rate_limit_fields(quota: &Quota, zone: &Zone, headers: &mut HeaderMap) {
    let window = seconds(ZonePace::of(zone).window());
    let policy = member(&zone.name, [(";q=", quota.limit.into()), (";w=", window)]);
    let left = [(";r=", quota.remaining.into()), (";t=", seconds(quota.reset))];
    if let (Some(policy), Some(left)) = (policy, member(&zone.name, left)) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, left);
    }
    if !quota.retry_after.is_zero() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(quota.retry_after).max(1)));
    }
}

/// A list member of structured fields (RFC 9651): a quoted name with integer parameters.
fn member(name: &str, parameters: [(&str, u64); 2]) -> Option<HeaderValue> {
    let mut text = Vec::with_capacity(name.len() + 32);
    text.push(b'"');
    for byte in name.bytes() {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', byte]),
            b' '..=b'~' => text.push(byte),
            _ => text.push(b'?'),
        }
    }
    text.push(b'"');
    for (key, value) in parameters {
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
