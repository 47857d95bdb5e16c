//! Request targets that clients write without encoding them. Pure.
//!
//! Browsers, people and old clients send `"`, `<`, `|` or UTF-8 as they are, and other servers take them; the codec's URI parser
//! refuses them. They are percent-encoded beneath it (RFC 3986, 2.1). Controls, spaces and DEL stay refused, and so does `#`,
//! which no request target holds (RFC 9112, 3.2).

/// What a byte of a request target needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetByte {
    Plain,
    ToEncode,
    /// A fragment: what is before it would be read as the whole by some, and with it by others.
    Fragment,
}

impl TargetByte {
    #[inline]
    pub fn of(byte: u8) -> Self {
        KINDS[usize::from(byte)]
    }
}

static KINDS: [TargetByte; 256] = {
    let mut kinds = [TargetByte::Plain; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'"' | b'<' | b'>' | b'`' | b'^' | b'{' | b'|' | b'}' | 0x80.. => TargetByte::ToEncode,
            b'#' => TargetByte::Fragment,
            _ => TargetByte::Plain,
        };
        byte += 1;
    }
    kinds
};

/// `bytes` with those at `places` percent-encoded. The places are in order.
pub(super) fn encoded(bytes: &[u8], places: &[usize]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(bytes.len() + 2 * places.len());
    let mut rest = 0;
    for &place in places {
        let byte = usize::from(bytes[place]);
        out.extend_from_slice(&bytes[rest..place]);
        out.extend_from_slice(&[b'%', DIGITS[byte >> 4], DIGITS[byte & 15]]);
        rest = place + 1;
    }
    out.extend_from_slice(&bytes[rest..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_passes_the_parser_or_is_encoded_or_is_refused() {
        for byte in 0..=255_u8 {
            let parses = |target: Vec<u8>| http::Uri::try_from(target).is_ok();
            let (in_path, in_query) = (parses(vec![b'/', byte]), parses(vec![b'/', b'?', byte]));
            match TargetByte::of(byte) {
                TargetByte::Fragment => assert_eq!(byte, b'#'),
                TargetByte::ToEncode => assert!(byte > b' ' && byte != 0x7f, "{byte:#x}"),
                TargetByte::Plain => {
                    let passes = byte > b' ' && byte != 0x7f;
                    assert_eq!((in_path, in_query), (passes, passes), "{byte:#x}");
                }
            }
        }
    }

    #[test]
    fn only_the_bytes_at_these_places_are_encoded() {
        assert_eq!(encoded(b"/\"a\xff\"", &[1, 3]), b"/%22a%FF\"");
        assert_eq!(encoded(b"/", &[]), b"/");
    }
}
