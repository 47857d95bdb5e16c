//! W3C Trace Context: the `traceparent` that goes to the backend, and its trace id for the log.
//!
//! Owns reading and making that one field. Never records a span: the proxy passes the trace on, and starts one where
//! there is none or where the sender may not choose it.

use http::HeaderValue;

/// A valid `traceparent` value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(HeaderValue);

/// `00-` trace id (32) `-` parent id (16) `-` flags (2).
const LENGTH: usize = 55;

impl TraceParent {
    /// The value if it is valid: version 00 exactly, a later version as far as it is defined.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let (known, rest) = bytes.split_at_checked(LENGTH)?;
        let rest_fits = match &known[..2] {
            b"00" => rest.is_empty(),
            b"ff" => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        let digits = [&known[..2], &known[3..35], &known[36..52], &known[53..]];
        let hex = digits.iter().all(|part| part.iter().all(|byte| is_lower_hex(*byte)));
        let named = !is_zero(&known[3..35]) && !is_zero(&known[36..52]);
        (rest_fits && dashes && hex && named).then(|| Self(value.clone()))
    }

    /// Starts a trace. It is marked as sampled: a backend that doesn't trace ignores it, one that does would
    /// otherwise see every request as "not to be recorded".
    pub fn start() -> Self {
        let trace = fastrand::u128(1..).to_be_bytes();
        let parent = fastrand::u64(1..).to_be_bytes();
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        write_hex(&mut text[3..35], &trace);
        write_hex(&mut text[36..52], &parent);
        // Always valid; the fallback is a lesser trace, not a panic.
        let value = HeaderValue::from_bytes(&text);
        Self(value.unwrap_or(HeaderValue::from_static("00-00000000000000000000000000000001-0000000000000001-00")))
    }

    /// The field's value, for the backend.
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// 32 lower-case hex digits, for the log.
    pub fn trace_id(&self) -> &str {
        let id = self.0.as_bytes().get(3..35).unwrap_or_default();
        str::from_utf8(id).unwrap_or_default()
    }
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_zero(digits: &[u8]) -> bool {
    digits.iter().all(|&digit| digit == b'0')
}

fn write_hex(text: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::TraceParent;
    use http::HeaderValue;

    fn parse(text: &'static str) -> Option<TraceParent> {
        TraceParent::parse(&HeaderValue::from_static(text))
    }

    #[test]
    fn a_started_trace_is_valid_and_its_own() {
        let (one, two) = (TraceParent::start(), TraceParent::start());
        assert_eq!(TraceParent::parse(one.value()), Some(one.clone()));
        assert_ne!(one.trace_id(), two.trace_id());
        assert_eq!(one.trace_id().len(), 32);
    }

    #[test]
    fn the_trace_id_is_read() {
        let trace = parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(trace.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }

    #[test]
    fn what_the_standard_refuses_is_refused() {
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
