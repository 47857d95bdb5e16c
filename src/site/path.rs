//! The path as routes see it: percent-decoded, without dot segments and doubled slashes.
//!
//! A rule on `/admin/` must not be passed by `/%61dmin/`, `//admin/` or `/x/../admin/` (nginx normalizes the same way before it
//! chooses a location). What is judged is what is sent: where dot segments were resolved, the backend gets the path without them. Where
//! servers read a path in different ways (an encoded slash, a backslash, `;` and what follows it), there is a reading for each of
//! them, and the caller refuses a path whose readings lead to different places.

use std::borrow::Cow;

/// A path that climbs above the root, holds NUL, or is not percent-encoded properly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

/// What a request's path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReadings<'p> {
    /// RFC 3986, 6.2.2, and merged slashes. An encoded slash is a letter like others here.
    pub first: Cow<'p, str>,
    /// How other servers may read it; only those that differ.
    pub others: Vec<String>,
    /// What is sent instead of the path, if it had dot segments: without them, and otherwise as the client wrote it.
    pub resolved: Option<String>,
}

/// How a server may read what RFC 3986 leaves open.
#[derive(Debug, Clone, Copy, Default)]
struct Reading {
    /// `%2F` ends a segment.
    decodes_slash: bool,
    /// A backslash ends a segment, also an encoded one.
    takes_backslash: bool,
    params: Params,
}

/// What a `;` in a segment means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Params {
    #[default]
    Kept,
    /// It and what follows is cut, up to the next slash as the client wrote it.
    CutToSlash,
    /// The same, also from an encoded one, and up to any end of a segment.
    CutToEnd,
}

impl<'p> PathReadings<'p> {
    /// Borrows when there is nothing to do, which is nearly always.
    pub fn of(path: &'p str) -> Result<Self, BadPath> {
        if is_plain(path.as_bytes()) {
            return Ok(Self { first: Cow::Borrowed(path), others: Vec::new(), resolved: None });
        }
        let first = read(path.as_bytes(), Reading::default())?;
        let resolved = has_dots(path).then(|| without_dots(path)).transpose()?;
        let mut others = Vec::new();
        // What is sent is what other servers read.
        let sent = resolved.as_deref().unwrap_or(path).as_bytes();
        for reading in other_readings(sent) {
            let other = read(sent, reading)?;
            if other != first && !others.contains(&other) {
                others.push(other);
            }
        }
        Ok(Self { first: Cow::Owned(first), others, resolved })
    }
}

/// The path as a key: one for all spellings that some server reads as the same.
pub fn path_key(path: &str) -> Cow<'_, str> {
    if is_plain(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let coarsest = Reading { decodes_slash: true, takes_backslash: true, params: Params::CutToEnd };
    read(path.as_bytes(), coarsest).map_or(Cow::Borrowed(path), Cow::Owned)
}

/// What follows the first `count` segments of a path that has no dot segments, as the client wrote it, with a slash before it.
pub fn behind_segments(path: &str, count: usize) -> String {
    let mut rest = path.trim_start_matches('/');
    for _ in 0..count {
        rest = rest.split_once('/').map_or("", |(_, rest)| rest).trim_start_matches('/');
    }
    format!("/{rest}")
}

/// A decoded path as a URL writes it: percent-encoded again.
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

fn other_readings(path: &[u8]) -> impl Iterator<Item = Reading> {
    let has_slash = encodes(path, b'/');
    let has_backslash = path.contains(&b'\\') || encodes(path, b'\\');
    let has_params = path.contains(&b';') || encodes(path, b';');
    let choices = |is_there: bool| if is_there { &[false, true][..] } else { &[false] };
    let params: &[Params] =
        if has_params { &[Params::Kept, Params::CutToSlash, Params::CutToEnd] } else { &[Params::Kept] };
    choices(has_slash).iter().flat_map(move |decodes_slash| {
        choices(has_backslash).iter().flat_map(move |takes_backslash| {
            params.iter().map(|params| Reading {
                decodes_slash: *decodes_slash,
                takes_backslash: *takes_backslash,
                params: *params,
            })
        })
    })
}

/// Whether this byte is in the path percent-encoded.
fn encodes(path: &[u8], byte: u8) -> bool {
    path.windows(3).any(|part| part[0] == b'%' && hex(part[1]).zip(hex(part[2])) == Some((byte >> 4, byte & 15)))
}

fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && !path.iter().any(|byte| matches!(byte, b'%' | b';' | b'\\'))
        && !path.windows(2).any(|w| w[0] == b'/' && (w[1] == b'/' || w[1] == b'.'))
}

fn read(path: &[u8], reading: Reading) -> Result<String, BadPath> {
    let decoded = decode(path, reading)?;
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
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn decode(path: &[u8], reading: Reading) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut is_cut = false;
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let mut is_encoded = false;
        let mut byte = first;
        rest = tail;
        if first == b'%' {
            let [high, low, after @ ..] = tail else { return Err(BadPath) };
            byte = (hex(*high).ok_or(BadPath)? << 4) | hex(*low).ok_or(BadPath)?;
            is_encoded = true;
            rest = after;
        }
        let ends_segment = match byte {
            0 => return Err(BadPath),
            b'/' => !is_encoded || reading.decodes_slash,
            b'\\' => reading.takes_backslash,
            _ => false,
        };
        if ends_segment {
            let ends_params = reading.params == Params::CutToEnd || byte == b'/' && !is_encoded;
            is_cut &= !ends_params;
        }
        is_cut |= byte == b';'
            && match reading.params {
                Params::Kept => false,
                Params::CutToSlash => !is_encoded,
                Params::CutToEnd => true,
            };
        match byte {
            _ if is_cut => {}
            _ if ends_segment => out.push(b'/'),
            b'/' => out.extend_from_slice(b"%2F"),
            byte => out.push(byte),
        }
    }
    Ok(out)
}

/// Whether a segment is `.` or `..`, written or encoded.
fn has_dots(path: &str) -> bool {
    path.split('/').any(|segment| dots(segment) > 0)
}

/// How many dots a segment is, if it is nothing else: one, two, or none.
fn dots(segment: &str) -> usize {
    let mut rest = segment;
    let mut count = 0;
    while let Some(after) = [".", "%2e", "%2E"].iter().find_map(|dot| rest.strip_prefix(dot)) {
        count += 1;
        rest = after;
    }
    if rest.is_empty() && count <= 2 { count } else { 0 }
}

/// The path without dot segments and doubled slashes; all else as it was written.
fn without_dots(path: &str) -> Result<String, BadPath> {
    let mut kept = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match dots(segment) {
            0 => kept.push(segment),
            1 => {}
            _ => drop(kept.pop().ok_or(BadPath)?),
        }
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    let end = if !kept.is_empty() && (last.is_empty() || dots(last) > 0) { "/" } else { "" };
    Ok(format!("/{}{end}", kept.join("/")))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(path: &str) -> Result<String, BadPath> {
        PathReadings::of(path).map(|readings| readings.first.into_owned())
    }

    #[test]
    fn plain_paths_are_borrowed() {
        for path in ["/", "/a/b", "/a.b/c..d/", "/a-b_c~d"] {
            let readings = PathReadings::of(path).unwrap();
            assert!(matches!(readings.first, Cow::Borrowed(same) if same == path), "{path}");
            assert_eq!((readings.others.len(), readings.resolved), (0, None), "{path}");
            assert!(matches!(path_key(path), Cow::Borrowed(same) if same == path), "{path}");
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
            ("/%61dmin/", "/admin/", None),
            ("//admin/", "/admin/", None),
            ("/x/../admin/", "/admin/", Some("/admin/")),
            ("/x/%2e%2e/admin/", "/admin/", Some("/admin/")),
            ("/x/.%2E/admin/", "/admin/", Some("/admin/")),
            ("/x//../admin", "/admin", Some("/admin")),
            ("/x%20y//b/../%61dmin//c", "/x y/admin/c", Some("/x%20y/%61dmin/c")),
            ("/./admin", "/admin", Some("/admin")),
            ("/admin/.", "/admin/", Some("/admin/")),
            ("/admin/..", "/", Some("/")),
            ("/a/..", "/", Some("/")),
            ("/%C3%A9", "/é", None),
            ("a/b", "/a/b", None),
            ("/.well-known/x", "/.well-known/x", None),
            ("/...", "/...", None),
            ("/..a/.b", "/..a/.b", None),
            ("/%2Fa", "/%2Fa", None),
            ("/%7e%7E", "/~~", None),
        ];
        for (path, expected, resolved) in cases {
            let readings = PathReadings::of(path).unwrap();
            assert_eq!((&*readings.first, readings.resolved.as_deref()), (expected, resolved), "{path}");
        }
    }

    #[test]
    fn each_way_to_read_a_path_is_there() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("/a%2Fb", "/a%2Fb", &["/a/b"]),
            ("/a%2f%2fb", "/a%2F%2Fb", &["/a/b"]),
            ("/a/..%2fb", "/a/..%2Fb", &["/b"]),
            ("/a\\b", "/a\\b", &["/a/b"]),
            ("/a%5Cb", "/a\\b", &["/a/b"]),
            ("/a/..%5cb", "/a/..\\b", &["/b"]),
            ("/a;x=1/b", "/a;x=1/b", &["/a/b"]),
            ("/a;x", "/a;x", &["/a"]),
            ("/;/a", "/;/a", &["/a"]),
            ("/a%3Bx", "/a;x", &["/a"]),
            ("/a%3Bx/b;y/c", "/a;x/b;y/c", &["/a/b/c", "/a;x/b/c"]),
            ("/a;x%5Cb", "/a;x\\b", &["/a", "/a/b", "/a;x/b"]),
            ("/a;x\\b/c", "/a;x\\b/c", &["/a/b/c", "/a/c", "/a;x/b/c"]),
            ("/%2F;%5C", "/%2F;\\", &["/", "/%2F", "/%2F/", "/%2F;/", "/;/", "/;\\"]),
            ("/%20;", "/ ;", &["/ "]),
            ("/a;%2fb", "/a;%2Fb", &["/a", "/a/b", "/a;/b"]),
            // Dots that were resolved are not sent, so no one reads them.
            ("/x;/../a", "/a", &[]),
            ("/%61", "/a", &[]),
        ];
        for (path, first, others) in cases {
            let readings = PathReadings::of(path).unwrap();
            let mut found: Vec<_> = readings.others.iter().map(String::as_str).collect();
            found.sort_unstable();
            assert_eq!((&*readings.first, found.as_slice()), (*first, *others), "{path}");
        }
    }

    #[test]
    fn what_can_not_be_meant_is_refused() {
        let bad = [
            "/..",
            "/a/../../b",
            "/%00",
            "/%",
            "/%4",
            "/%zz",
            "/%2e%2e",
            "/..%2f..%2fx",
            "/..%5c..%5cx",
            "/..;/x",
            "/a/..%2f..%2fx",
            "/..%2f",
            "/a%2f..%2f..%2fx",
        ];
        for path in bad {
            assert_eq!(first(path), Err(BadPath), "{path}");
        }
    }

    #[test]
    fn all_spellings_of_a_path_have_one_key() {
        for path in [
            "/login",
            "/%6cogin",
            "//login",
            "/./login",
            "/x/../login",
            "/login;a",
            "/login;b=c",
            "/%2flogin",
            "/\\login",
            "/%5Clogin",
            "/;/login",
            "/x%2f..%2flogin",
            "/%2e/login",
        ] {
            assert_eq!(path_key(path), "/login", "{path}");
        }
        assert_eq!(path_key("/%zz"), "/%zz");
    }

    #[test]
    fn what_is_behind_a_prefix_stays_as_it_was_written() {
        for (path, count, rest) in [
            ("/strip/x", 1, "/x"),
            ("/%73trip/%78?", 1, "/%78?"),
            ("//strip//x/", 1, "/x/"),
            ("/strip", 1, "/"),
            ("/strip/", 1, "/"),
            ("/a/b/c", 2, "/c"),
            ("/a%2Fb/c", 1, "/c"),
            ("/a", 0, "/a"),
        ] {
            assert_eq!(behind_segments(path, count), rest, "{path}");
        }
    }
}
