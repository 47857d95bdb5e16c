//! The path as routes see it: percent-decoded, without dot segments and doubled slashes.
//!
//! A rule on `/admin/` must not be passed by `/%61dmin/`, `//admin/` or `/x/../admin/` (nginx normalizes the same way before it
//! chooses a location). What is judged is what is sent: where dot segments were resolved, the backend gets the path without them. Where
//! servers read a path in different ways (an encoded slash, a backslash, `;` and what follows it, an encoded line feed at the end, two
//! slashes at the beginning), there is a reading for each of them, and the caller refuses a path whose readings lead to different places.

mod dots;
mod reading;
mod url;

use std::borrow::Cow;

use dots::{has_dots, without_dots};
pub use reading::BadPath;
use reading::{Params, Reading, all_readings, read, read_both};
use url::{as_url, behind_authority, is_network_path};

/// How many bytes the readings of one path may have together. Each costs a decoding: a long path that can be read in dozens of ways is
/// made to keep us busy.
const MOST_READ: usize = 256 << 10;

/// What a request's path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathReadings<'p> {
    /// RFC 3986, 6.2.2, and merged slashes. An encoded slash is a letter like others here.
    pub first: Cow<'p, str>,
    /// How other servers may read it; only those that differ.
    pub others: Vec<String>,
    /// How those may read it that take `//host/path` for a URL, as `new URL(target, base)` and PHP's `parse_url` do. Most servers
    /// don't, and the slashes are the client's mistake: such a reading is no reason to refuse what is not stricter.
    pub references: Vec<String>,
    /// What is sent instead of the path, if it had dot segments: without them, and otherwise as the client wrote it.
    pub resolved: Option<String>,
}

impl<'p> PathReadings<'p> {
    /// Borrows when there is nothing to do, which is nearly always.
    pub fn of(path: &'p str) -> Result<Self, BadPath> {
        if is_plain(path.as_bytes()) {
            return Ok(Self { first: Cow::Borrowed(path), others: Vec::new(), references: Vec::new(), resolved: None });
        }
        let first = read(path.as_bytes(), Reading::default())?;
        let resolved = has_dots(path).then(|| without_dots(path)).transpose()?;
        let (mut others, mut references) = (Vec::new(), Vec::new());
        // What is sent is what other servers read.
        let sent = resolved.as_deref().unwrap_or(path);
        let mut left = MOST_READ;
        let mut read_all = |sent: &[u8], known: &mut Vec<String>| {
            all_readings(sent).try_for_each(|reading| {
                left = left.checked_sub(sent.len()).ok_or(BadPath)?;
                read_both(sent, reading, |other| note(&first, known, other))
            })
        };
        read_all(sent.as_bytes(), &mut others)?;
        if sent.contains('\\') {
            read_all(as_url(sent)?.as_bytes(), &mut others)?;
        }
        if is_network_path(sent) {
            read_all(behind_authority(sent, '/').as_bytes(), &mut references)?;
            read_all(as_url(behind_authority(sent, '\\'))?.as_bytes(), &mut references)?;
        }
        Ok(Self { first: Cow::Owned(first), others, references, resolved })
    }
}

/// Keeps a reading that is new, also as a regular expression of Python or Perl sees it, whose `$` is before a line feed at the end.
fn note(first: &str, known: &mut Vec<String>, reading: String) {
    let line = reading.strip_suffix('\n').map(str::to_owned);
    for reading in line.into_iter().chain([reading]) {
        if reading != first && !known.contains(&reading) {
            known.push(reading);
        }
    }
}

/// The path as a key: one for all spellings that some server reads as the same.
pub fn path_key(path: &str) -> Cow<'_, str> {
    if is_plain(path.as_bytes()) {
        return Cow::Borrowed(path);
    }
    let coarsest = Reading { decodes_slash: true, takes_backslash: true, params: Params::CutToEnd };
    let key = |path: &str| read(path.as_bytes(), coarsest).ok();
    // Whoever reads `//1/login` as `/login` must not find a bucket for each number there.
    let behind_host = is_network_path(path).then(|| key(behind_authority(path, '\\'))).flatten();
    let Some(mut key) = behind_host.filter(|key| key != "/").or_else(|| key(path)) else { return Cow::Borrowed(path) };
    if key.ends_with('\n') {
        key.pop();
    }
    Cow::Owned(key)
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

fn is_plain(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
        && !path.iter().any(|byte| matches!(byte, b'%' | b';' | b'\\'))
        && !path.windows(2).any(|w| w[0] == b'/' && (w[1] == b'/' || w[1] == b'.'))
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
            ("/a/..%2fb", "/a/..%2Fb", &["/a/../b", "/b"]),
            ("/a%2f..%2fb", "/a%2F..%2Fb", &["/a/../b", "/b"]),
            ("/a\\b", "/a\\b", &["/a/b"]),
            ("/a%5Cb", "/a\\b", &["/a/b"]),
            ("/a/..%5cb", "/a/..\\b", &["/a/../b", "/b"]),
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
            ("/a%0A", "/a\n", &["/a"]),
            ("/a%0a;x", "/a\n;x", &["/a", "/a\n"]),
            ("/a%0ab", "/a\nb", &[]),
            // Dots that were resolved are not sent, so no one reads them.
            ("/x;/../a", "/a", &[]),
            // JavaScript's URL resolves what is left of it, and its path is decoded then.
            (
                "/x\\../a%2f..%2fb",
                "/x\\../a%2F..%2Fb",
                &["/a%2F..%2Fb", "/a/../b", "/b", "/x/../a%2F..%2Fb", "/x/../a/../b", "/x\\../a/../b", "/x\\../b"],
            ),
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
    fn a_long_path_with_many_readings_is_refused() {
        let long = |part: &str| part.repeat(30_000 / part.len());
        for path in ["/a%2Fb", "/a;b", "/a\\b", "/%0a", "//a", "/a%2Fb;c"].map(long) {
            let readings = PathReadings::of(&path).unwrap();
            assert!(readings.others.len() < 8, "{} of {}", readings.others.len(), &path[..10]);
        }
        assert_eq!(PathReadings::of(&long("//a\\b%2Fc;d")), Err(BadPath));
    }

    #[test]
    fn two_slashes_may_begin_a_host() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("//x/admin", "/x/admin", &["/admin"]),
            ("//admin", "/admin", &["/"]),
            ("///x//admin/", "/x/admin/", &["/admin/"]),
            ("/\\u:p@x:80/a", "/\\u:p@x:80/a", &["/a"]),
            ("//x\\y/a", "/x\\y/a", &["/a", "/y/a"]),
            ("//x/a/../b", "/x/b", &[]),
            ("/x//admin", "/x/admin", &[]),
            ("/%2fx/a", "/%2Fx/a", &[]),
        ];
        for (path, first, references) in cases {
            let readings = PathReadings::of(path).unwrap();
            let mut found: Vec<_> = readings.references.iter().map(String::as_str).collect();
            found.sort_unstable();
            assert_eq!((&*readings.first, found.as_slice()), (*first, *references), "{path}");
        }
        for n in 0..3 {
            assert_eq!(path_key(&format!("//{n}/login")), "/login");
        }
        assert_eq!(path_key("//x/"), "/x/");
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
            // Above the root of what may be a host.
            "//x/..%2fa",
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
            "/login%0a",
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
