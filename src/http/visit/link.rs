//! A preview's link: the token in its query, and where a browser is sent once it is in a cookie.

use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, header};

use super::cookies::OurCookie;

/// The query parameter that holds the token.
const PARAMETER: &str = "edge_preview";

/// A preview's link was followed: the token goes into a cookie and out of the address.
pub struct SeeOther {
    pub location: HeaderValue,
    pub cookie: HeaderValue,
}

/// The parameter's first value, and the address without it; every other parameter stays as it was written.
pub fn take_token(uri: &Uri) -> Option<(String, Uri)> {
    let query = uri.query()?;
    memchr::memmem::find(query.as_bytes(), PARAMETER.as_bytes())?;
    let ours = |part: &str| part.split_once('=').unwrap_or((part, "")).0 == PARAMETER;
    let token = query.split('&').find(|part| ours(part))?;
    let (_, token) = token.split_once('=').unwrap_or_default();
    let left: Vec<&str> = query.split('&').filter(|part| !ours(part)).collect();
    let path = uri.path();
    let written = if left.is_empty() { path.to_owned() } else { format!("{path}?{}", left.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(written).ok()?);
    Some((token.to_owned(), Uri::from_parts(parts).ok()?))
}

/// Whether this is what a browser does with a link: only then can it be redirected.
pub fn is_navigation(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD) && !head.headers.contains_key(header::UPGRADE)
}

/// To the same address without the token. `left`: how long the preview still holds.
pub fn see_other(head: &Parts, service: &str, token: &str, left: Duration, is_https: bool) -> Option<SeeOther> {
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // `//host/` would be another host's address, and to browsers so is `/\host/`.
    let dot = if path[1..].starts_with(['/', '\\']) { "/." } else { "" };
    Some(SeeOther {
        location: HeaderValue::from_str(&format!("{dot}{path}")).ok()?,
        cookie: OurCookie::Preview(service).set(token, Some(left), is_https)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_goes_and_the_others_stay_as_written() {
        for (sent, token, left) in [
            ("/?edge_preview=t", "t", "/"),
            ("/a%20b?x=%41&edge_preview=t&y", "t", "/a%20b?x=%41&y"),
            ("/?edge_preview=t&&x=1", "t", "/?&x=1"),
            ("/?edge_preview=a&edge_preview=b", "a", "/"),
            ("/?edge_preview", "", "/"),
            ("http://app.test/x?edge_preview=t&a=1", "t", "http://app.test/x?a=1"),
        ] {
            let (got, uri) = take_token(&sent.parse().unwrap()).unwrap();
            assert_eq!((got.as_str(), uri.to_string().as_str()), (token, left), "{sent}");
        }
        for sent in ["/", "/?a=edge_preview", "/?my_edge_preview=1", "/edge_preview?x"] {
            assert!(take_token(&sent.parse().unwrap()).is_none(), "{sent}");
        }
    }

    #[test]
    fn the_address_that_a_link_leads_to_is_on_the_same_host() {
        let head = |uri: &str| http::Request::get(uri).body(()).unwrap().into_parts().0;
        let location = |uri: &str| {
            let Some(to) = see_other(&head(uri), "app", "t", Duration::from_secs(9), true) else {
                return String::new();
            };
            to.location.to_str().unwrap().to_owned()
        };
        assert_eq!(location("/a?x=1"), "/a?x=1");
        assert_eq!(location("http://app.test//evil.test/"), "/.//evil.test/");
        assert_eq!(location("/\\evil.test/"), "/./\\evil.test/");
        assert_eq!(location("http://app.test"), "/");
    }
}
