//! How long the body of a backend's answer is, where its head says it more than once (RFC 9112, 6.3).
//!
//! The codec has read the body by the same rules; what goes on to the client must not contradict that. Pure.

use http::header::{self, HeaderMap, HeaderValue};

/// What the backend's head says of the body's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerLength {
    /// One thing, or nothing.
    Settled,
    /// Chunks and a Content-Length, which is removed: what follows on the connection can't be trusted.
    Contradictory,
    /// A transfer coding that we do not take off: the body can't be passed on.
    Encoded,
}

/// Leaves at most one Content-Length, and none beside a Transfer-Encoding, which wins.
pub(super) fn settle(headers: &mut HeaderMap, is_encoded: bool) -> AnswerLength {
    if !is_encoded {
        merge_lengths(headers);
        return AnswerLength::Settled;
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !is_chunked || codings.next().is_some() {
        return AnswerLength::Encoded;
    }
    if headers.remove(header::CONTENT_LENGTH).is_some() { AnswerLength::Contradictory } else { AnswerLength::Settled }
}

/// Equal lengths, in a list or in several fields, become one. What is no length says nothing: it can only come with an answer
/// without a body, since the codec refuses it everywhere else.
fn merge_lengths(headers: &mut HeaderMap) {
    let mut fields = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = fields.next() else { return };
    if fields.next().is_none() && is_length(first.as_bytes()) {
        return;
    }
    let fields = headers.get_all(header::CONTENT_LENGTH).iter();
    let mut members = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let first = members.next().filter(|first| is_length(first));
    let agreed = first.filter(|first| members.all(|other| is_length(other) && number(other) == number(first)));
    match agreed.and_then(|length| HeaderValue::from_bytes(length).ok()) {
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, length)),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
}

fn is_length(member: &[u8]) -> bool {
    // Nineteen digits are less than 64 bits.
    !member.is_empty() && member.iter().all(u8::is_ascii_digit) && (member.len() < 20 || number(member).is_some())
}

fn number(member: &[u8]) -> Option<u64> {
    str::from_utf8(member).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::tests::map;

    #[test]
    fn a_transfer_encoding_wins_over_a_length() {
        for (fields, length) in [
            (&[("transfer-encoding", "chunked")][..], AnswerLength::Settled),
            (&[("transfer-encoding", "Chunked"), ("content-length", "2")], AnswerLength::Contradictory),
            (&[("content-length", "2"), ("transfer-encoding", "chunked")], AnswerLength::Contradictory),
            (
                &[("content-length", "2"), ("content-length", "3"), ("transfer-encoding", "chunked")],
                AnswerLength::Contradictory,
            ),
        ] {
            let mut headers = map(fields);
            assert_eq!(settle(&mut headers, true), length, "{fields:?}");
            assert!(!headers.contains_key(header::CONTENT_LENGTH), "{fields:?}");
        }
    }

    #[test]
    fn a_coding_that_is_not_taken_off_can_not_be_passed_on() {
        for codings in [
            &["gzip"][..],
            &["gzip, chunked"],
            &["chunked, gzip"],
            &["identity"],
            &["chunked", "chunked"],
            &["xchunked"],
            &[""],
        ] {
            let fields: Vec<_> = codings.iter().map(|coding| ("transfer-encoding", *coding)).collect();
            assert_eq!(settle(&mut map(&fields), true), AnswerLength::Encoded, "{codings:?}");
        }
    }

    #[test]
    fn equal_lengths_become_one() {
        for (lengths, settled) in [
            (&["2"][..], Some("2")),
            (&["2, 2"], Some("2")),
            (&["2", "2"], Some("2")),
            (&["2,2", " 2 "], Some("2")),
            (&["02, 2"], Some("02")),
            (&["2", "3"], None),
            (&["2, x"], None),
            (&["+2"], None),
            (&["-2"], None),
            (&[""], None),
            (&["2,"], None),
            (&["18446744073709551616"], None),
            (&["18446744073709551615"], Some("18446744073709551615")),
            (&["9999999999999999999"], Some("9999999999999999999")),
            (&["00000000000000000000002"], Some("00000000000000000000002")),
            (&["99999999999999999999, 5"], None),
            (&[], None),
        ] {
            let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
            let mut headers = map(&fields);
            assert_eq!(settle(&mut headers, false), AnswerLength::Settled);
            let left: Vec<_> =
                headers.get_all(header::CONTENT_LENGTH).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(left, settled.into_iter().collect::<Vec<_>>(), "{lengths:?}");
        }
    }
}
