//! What the load asks for: pages of the origin, and requests of three shapes, ready for every protocol.
//!
//! `Small` is what a script sends, `Browser` what a browser with a full cookie jar sends, `Post` an upload.

use anyhow::Result;
use bytes::Bytes;

/// What the origin serves: a path and the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub path: &'static str,
    pub len: usize,
}

pub const KIB_1: Page = Page { path: "/1k", len: 1 << 10 };
pub const KIB_64: Page = Page { path: "/64k", len: 64 << 10 };
pub const MIB_1: Page = Page { path: "/1m", len: 1 << 20 };

impl Page {
    /// The last segment of its path: the origin looks at that alone.
    pub fn name(self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The same page under another path, which must end with its name.
    pub const fn at(self, path: &'static str) -> Page {
        Page { path, len: self.len }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Five fields with Host.
    Small,
    /// Fifteen fields with Host, of which the cookies are 600 bytes.
    Browser,
    /// `Small`, with a body of this length.
    Post(usize),
}

/// Length of a browser's cookies.
const COOKIES: usize = 600;
const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36";

impl Shape {
    /// The fields besides Host and Content-Length, in the order of the wire.
    pub fn fields(self) -> Vec<(&'static str, String)> {
        let fields: &[(&str, &str)] = match self {
            Shape::Small | Shape::Post(_) => &[
                ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
                ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                ("accept-language", "en-US,en;q=0.5"),
                ("cookie", "sessionid=k3x9q0v7m2c8d1f5; theme=dark"),
            ],
            Shape::Browser => &[
                ("sec-ch-ua", "\"Not)A;Brand\";v=\"8\", \"Chromium\";v=\"138\", \"Google Chrome\";v=\"138\""),
                ("sec-ch-ua-mobile", "?0"),
                ("sec-ch-ua-platform", "\"Linux\""),
                ("upgrade-insecure-requests", "1"),
                ("user-agent", AGENT),
                ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-user", "?1"),
                ("sec-fetch-dest", "document"),
                ("referer", "https://bench.test/orders/2025/07?page=3&sort=date"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
            ],
        };
        let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        if self == Shape::Browser {
            fields.push(("cookie", cookies(COOKIES)));
        }
        fields
    }
}

/// Cookies as analytics, a session and a consent banner leave them, `len` bytes in all.
fn cookies(len: usize) -> String {
    let mut all = String::from(
        "sessionid=k3x9q0v7m2c8d1f5k3x9q0v7m2c8d1f5; csrftoken=Zq8wT2mXb4Lr0NvYc6Ps1HdKf9Gj3UeA; theme=dark",
    );
    let mut number = 1;
    while all.len() < len {
        all.push_str(&format!("; _ga_{number}=GS1.1.17513{number:05}.{number}.1.1751371{number:03}.60.0.0"));
        number += 1;
    }
    all.truncate(len);
    all
}

/// A request, ready for every protocol, and the length of the answer that it must get.
pub struct Request {
    /// Head and body.
    pub h1: Vec<u8>,
    pub h2: http::Request<()>,
    pub body: Bytes,
    /// Of the answer.
    pub len: usize,
}

impl Request {
    pub fn new(secure: bool, host: &str, page: Page, shape: Shape) -> Result<Request> {
        let (scheme, path) = (if secure { "https" } else { "http" }, page.path);
        let body = match shape {
            Shape::Post(len) => Bytes::from(vec![b'x'; len]),
            Shape::Small | Shape::Browser => Bytes::new(),
        };
        let method = if body.is_empty() { "GET" } else { "POST" };
        let uri = format!("{scheme}://{host}{path}");
        let mut h2 = http::Request::builder().method(method).uri(uri).version(http::Version::HTTP_2);
        let mut h1 = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
        let mut fields = shape.fields();
        if !body.is_empty() {
            fields.push(("content-length", body.len().to_string()));
        }
        for (name, value) in &fields {
            h2 = h2.header(*name, value);
            h1.push_str(&format!("{name}: {value}\r\n"));
        }
        h1.push_str("\r\n");
        let mut h1 = h1.into_bytes();
        h1.extend_from_slice(&body);
        Ok(Request { h1, h2: h2.body(())?, body, len: page.len })
    }
}
