//! What a body is, where that decides how it is passed on.

use http::HeaderValue;

/// `text/event-stream`, with any parameter.
pub fn is_event_stream(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| begins(value, b"text/event-stream"))
}

/// `application/grpc`, with any suffix or parameter.
pub fn is_grpc(content_type: Option<&HeaderValue>) -> bool {
    content_type.is_some_and(|value| begins(value, b"application/grpc"))
}

/// Whether the type is this one, in any case, whatever follows its name.
fn begins(value: &HeaderValue, name: &[u8]) -> bool {
    let value = value.as_bytes();
    value.get(..name.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(name))
        && value.get(name.len()).is_none_or(|next| !next.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_in_any_case_and_whatever_follows() {
        for (value, event_stream, grpc) in [
            ("text/event-stream", true, false),
            ("Text/Event-Stream; charset=utf-8", true, false),
            ("text/event-streams", false, false),
            ("text/html; text/event-stream", false, false),
            ("application/grpc", false, true),
            ("Application/gRPC+proto", false, true),
            ("application/grpc;charset=utf-8", false, true),
            ("application/grpc-web+proto", false, true),
            ("application/grpcish", false, false),
            ("application/json", false, false),
        ] {
            let value = HeaderValue::from_static(value);
            assert_eq!((is_event_stream(Some(&value)), is_grpc(Some(&value))), (event_stream, grpc), "{value:?}");
        }
        assert!(!is_grpc(None) && !is_event_stream(None));
    }
}
