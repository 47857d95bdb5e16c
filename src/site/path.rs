//! The path as routes see it: percent-decoded, without dot segments and doubled slashes.
//!
//! A rule on `/admin/` must not be passed by `/%61dmin/`, `//admin/` or `/x/../admin/` (nginx normalizes the same way
//! before it chooses a location). What goes to the backend is the path as the client sent it.

use std::borrow::Cow;

/// A path that climbs above the root, holds NUL, or is not percent-encoded properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// RFC 3986, 6.2.2, and merged slashes. Borrows when there is nothing to do, which is nearly always.
pub fn normalized(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if is_plain(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = decode(path.as_bytes())?;
    let mut out = Vec::with_capacity(decoded.len());
    for segment in segments(&decoded) {
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = out.iter().rposition(|b| *b == b'/').ok_or(BadPath)?;
                out.truncate(parent);
            }
            name => {
                out.push(b'/');
                out.extend_from_slice(name);
            }
        }
    }
    let ends_in_folder = matches!(segments(&decoded).last(), Some(b"" | b"." | b".."));
    if ends_in_folder || out.is_empty() {
        out.push(b'/');
    }
    Ok(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

/// A normalized path as a URL writes it: percent-encoded again.
pub fn encoded(path: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&b);
    if path.bytes().all(plain) {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0').to_ascii_uppercase();
            out.extend(['%', digit(byte >> 4), digit(byte & 0x0f)]);
        }
    }
    Cow::Owned(out)
}

fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && !path.contains(&b'%')
        && !path.windows(2).any(|w| w[0] == b'/' && (w[1] == b'/' || w[1] == b'.'))
}

fn decode(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let [high, low, after @ ..] = tail else { return Err(BadPath) };
            let byte = (hex(*high)? << 4) | hex(*low)?;
            if byte == 0 {
                return Err(BadPath);
            }
            out.push(byte);
            rest = after;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    Ok(out)
}

fn hex(digit: u8) -> Result<u8, BadPath> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok()).ok_or(BadPath)
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_borrowed() {
        for path in ["/", "/a/b", "/a.b/c..d/", "/a-b_c~d"] {
            assert!(matches!(normalized(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn what_was_decoded_is_encoded_again() {
        assert_eq!(encoded("a b%2F/é"), "a%20b%252F/%C3%A9");
        assert_eq!(encoded("/\u{1f}\""), "/%1F%22");
        assert!(matches!(encoded("/a-b_c~d/$&;=@:0Z"), Cow::Borrowed("/a-b_c~d/$&;=@:0Z")));
    }

    #[test]
    fn disguises_fall() {
        let cases = [
            ("/%61dmin/", "/admin/"),
            ("//admin/", "/admin/"),
            ("/x/../admin/", "/admin/"),
            ("/x/%2e%2e/admin/", "/admin/"),
            ("/x%2f..%2fadmin/", "/admin/"),
            ("/./admin", "/admin"),
            ("/admin/.", "/admin/"),
            ("/a/..", "/"),
            ("/%C3%A9", "/é"),
            ("a/b", "/a/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/%2Fa", "/a"),
            ("/%7e%7E", "/~~"),
        ];
        for (path, expected) in cases {
            assert_eq!(normalized(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        for path in ["/..", "/a/../../b", "/%00", "/%", "/%4", "/%zz"] {
            assert_eq!(normalized(path), Err(BadPath), "{path}");
        }
    }
}
