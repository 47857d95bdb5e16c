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

/// The value of the first cookie of that name, over all Cookie fields (RFC 6265, 5.4; HTTP/2 splits them). It need not be text.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut parsed = headers.get_all(COOKIE).iter().flat_map(pairs).filter_map(parse);
    parsed.find_map(|(key, value)| (key == name.as_bytes()).then_some(value))
}

/// Takes out the cookies that `take`, told name and value, wants; what is not text, it is not told. The others stay as they are, byte for byte; a field that is
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
    let mut is_taken = |pair: &[u8]| {
        let text = |bytes| std::str::from_utf8(bytes).ok();
        let named = parse(pair).and_then(|(name, value)| Some((text(name)?, text(value)?)));
        named.is_some_and(|(name, value)| take(name, value))
    };
    let kept: Vec<&[u8]> = pairs(&line).filter(|pair| !is_taken(pair)).collect();
    let left = kept.join(&b';');
    match left.trim_ascii() {
        b"" => None,
        left => HeaderValue::from_bytes(left).ok(),
    }
}

/// The cookies of one field, as they are written (RFC 6265, 4.2.1).
fn pairs(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b';')
}

/// Name and value. `None`: without `=`.
fn parse(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let pair = pair.trim_ascii();
    let equals = memchr::memchr(b'=', pair)?;
    Some((&pair[..equals], &pair[equals + 1..]))
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
        assert_eq!(cookie(&headers, "c"), Some(&b"3"[..]));
        assert_eq!(cookie(&headers, "d"), None);
    }

    #[test]
    fn a_cookie_is_found_beside_bytes_beyond_ascii() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_bytes(b"a=\xff; b = x;c=1;c=2; d").unwrap());
        assert_eq!(cookie(&headers, "c"), Some(&b"1"[..]));
        assert_eq!(cookie(&headers, "a"), Some(&b"\xff"[..]));
        assert_eq!(cookie(&headers, "b"), None, "its name has a space");
        assert_eq!(cookie(&headers, "d"), None, "no value");
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
