//! Cookies in the two places where a proxy meets them: as one header or as HTTP/2's crumbs, and by name.

use http::header::{COOKIE, Entry, HeaderMap, HeaderValue};

/// RFC 9113, 8.2.3: crumbs become one field, joined by `; `, before they leave HTTP/2.
pub fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let joined: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(value) = HeaderValue::from_bytes(&joined.join(&b"; "[..])) {
        headers.insert(COOKIE, value);
    }
}

/// The value of the first cookie of that name.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

/// Takes out the cookies that `take`, told name and value, wants. The others stay as they are, byte for byte; a field that is
/// left empty goes. Looks at no field in which `prefix` does not occur.
pub fn take_cookies(headers: &mut HeaderMap, prefix: &str, mut take: impl FnMut(&str, &str) -> bool) {
    let has_prefix = |line: &HeaderValue| memchr::memmem::find(line.as_bytes(), prefix.as_bytes()).is_some();
    if !headers.get_all(COOKIE).iter().any(has_prefix) {
        return;
    }
    let Entry::Occupied(lines) = headers.entry(COOKIE) else { return };
    let (_, lines) = lines.remove_entry_mult();
    let kept: Vec<HeaderValue> = lines.filter_map(|line| without(line, &mut take)).collect();
    for line in kept {
        headers.append(COOKIE, line);
    }
}

fn without(line: HeaderValue, take: &mut impl FnMut(&str, &str) -> bool) -> Option<HeaderValue> {
    let pairs = line.as_bytes().split(|byte| *byte == b';');
    let kept: Vec<&[u8]> = pairs
        .filter(|pair| {
            let text = std::str::from_utf8(pair.trim_ascii()).unwrap_or_default();
            !text.split_once('=').is_some_and(|(name, value)| take(name, value))
        })
        .collect();
    let left = kept.join(&b';');
    match left.trim_ascii() {
        b"" => None,
        left => HeaderValue::from_bytes(left).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_become_one_field() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1"));
        headers.append(COOKIE, HeaderValue::from_static("b=2; c=3"));
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
        assert_eq!(cookie(&headers, "c"), Some("3"));
        assert_eq!(cookie(&headers, "d"), None);
    }

    #[test]
    fn what_is_taken_leaves_the_others_as_they_were() {
        for (sent, left) in [
            ("edge_x=1", None),
            ("a=1; edge_x=2; b=\"3\"", Some("a=1; b=\"3\"")),
            ("edge_x=2;b=3", Some("b=3")),
            ("a=1;  b;edge_x=", Some("a=1;  b")),
            ("my_edge_x=1; edge_y=2", Some("my_edge_x=1; edge_y=2")),
            ("a=edge_x=1", Some("a=edge_x=1")),
            ("edge_x", Some("edge_x")),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_static(sent));
            take_cookies(&mut headers, "edge_", |name, _| name == "edge_x");
            assert_eq!(headers.get(COOKIE).map(|value| value.to_str().unwrap()), left, "{sent}");
        }
    }

    #[test]
    fn crumbs_and_bytes_beyond_ascii_stay() {
        let mut headers = HeaderMap::new();
        for line in [&b"a=\xff"[..], b"edge_x=1", b"edge_x=2; b=2"] {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let mut taken = Vec::new();
        take_cookies(&mut headers, "edge_", |name, value| {
            taken.push(format!("{name}={value}"));
            name == "edge_x"
        });
        assert_eq!(
            headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>(),
            [&b"a=\xff"[..], b"b=2"]
        );
        assert_eq!(taken, ["edge_x=1", "edge_x=2", "b=2"]);
    }
}
