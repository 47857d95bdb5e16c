//! The id that one request carries through every log, header and error page.
//!
//! Ours is a `UUIDv7` (RFC 9562): it sorts by time. A client's own id is taken only if its peer is trusted, which the
//! caller knows, and if the value is valid, which is decided here.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use uuid::fmt::Hyphenated;
use uuid::{NoContext, Timestamp, Uuid};

/// Printable, fit for a header and a log. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(IdText);

#[derive(Debug, Clone, PartialEq, Eq)]
enum IdText {
    /// Rendered in place: no allocation until a header asks for one.
    Own([u8; Hyphenated::LENGTH]),
    Client(Arc<str>),
}

/// Longer than any tracing system writes, short enough to be logged with every line.
const LONGEST: usize = 128;

impl RequestId {
    /// A new `UUIDv7`; reads the clock. Random within a millisecond: a counter would be a lock between the workers.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "each is different: a default would promise equality")]
    pub fn new() -> Self {
        Self::at(SystemTime::now())
    }

    /// As [`RequestId::new`], for a time that is known already.
    #[must_use]
    pub fn at(now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut text = [0; Hyphenated::LENGTH];
        Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
            .hyphenated()
            .encode_lower(&mut text);
        Self(IdText::Own(text))
    }

    /// What a trusted peer sent, if it is 1 to 128 characters of `A-Z a-z 0-9 . _ ~ - : + / = @`.
    #[must_use]
    pub fn from_client(value: &[u8]) -> Option<Self> {
        let sane = (1..=LONGEST).contains(&value.len()) && value.iter().all(|byte| is_sane(*byte));
        let text = std::str::from_utf8(value).ok().filter(|_| sane)?;
        Some(Self(IdText::Client(text.into())))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            IdText::Own(text) => std::str::from_utf8(text).unwrap_or_default(),
            IdText::Client(text) => text,
        }
    }

    /// For `X-Request-ID`; allocates once, and its clones share that.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let bytes = match &self.0 {
            IdText::Own(text) => text.as_slice(),
            IdText::Client(text) => text.as_bytes(),
        };
        HeaderValue::from_bytes(bytes).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn is_sane(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._~-:+/=@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_id_is_a_version_7_uuid() {
        let id = RequestId::new();
        assert_eq!(Uuid::parse_str(id.as_str()).unwrap().get_version_num(), 7);
        assert_eq!(id.header_value(), id.as_str());
        assert_ne!(id, RequestId::new());
    }

    #[test]
    fn the_id_of_a_client_is_kept_if_valid() {
        let id = RequestId::from_client(b"Root=1-67891233-abcdef012345678912345678").unwrap();
        assert_eq!(id.as_str(), "Root=1-67891233-abcdef012345678912345678");
        assert_eq!(id.header_value(), id.as_str());
    }

    #[test]
    fn the_id_of_a_client_is_refused_if_not_valid() {
        for value in [&b""[..], b"a b", b"a\r\nb", b"\"", b"<script>", "é".as_bytes(), &[b'a'; 129]] {
            assert_eq!(RequestId::from_client(value), None, "{value:?}");
        }
        assert!(RequestId::from_client(&[b'a'; 128]).is_some());
    }
}
