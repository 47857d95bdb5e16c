//! Many ways to spell one path, and how kinds of servers read them.

/// Each reads a target as some servers do: the path that their application is asked for.
pub type Reader = (&'static str, fn(&str) -> Option<String>);

pub const READERS: [Reader; 9] = [
    // WSGI and ASGI (gunicorn, uvicorn): decoded, and nothing else.
    ("decoded", |path| decoded(path, false)),
    // Express, Rails: segments as they are written, each decoded by itself.
    ("by segment", |path| {
        Some(path.split('/').map(|segment| decoded(segment, true)).collect::<Option<Vec<_>>>()?.join("/"))
    }),
    // Go's ServeMux: decoded, then cleaned.
    ("cleaned", |path| Some(clean(&decoded(path, false)?))),
    // Servlet containers: parameters cut, then decoded and cleaned.
    ("without parameters", |path| Some(clean(&decoded(&without_params(path), false)?))),
    // Spring and others: decoded, then parameters cut, then cleaned.
    ("decoded without parameters", |path| Some(clean(&without_params(&decoded(path, false)?)))),
    // Django and others, whose patterns end with `$`: a line feed at the end does not matter.
    ("by a pattern", |path| decoded(path, false).map(|path| path.trim_end_matches('\n').to_owned())),
    // JavaScript's URL, whose path is decoded then.
    ("as a URL", |path| decoded(&url_path(path), false)),
    // The same with a base, or PHP's `parse_url`: what follows two slashes is a host.
    ("as a reference", |path| {
        let slashes: &[char] = &['/', '\\'];
        let is_reference = path.starts_with("//") || path.starts_with("/\\");
        let host = if is_reference { path.trim_start_matches(slashes) } else { path };
        let path = if is_reference { host.find(slashes).map_or("/", |end| &host[end..]) } else { path };
        decoded(&url_path(path), false)
    }),
    // IIS, and what runs on Windows: a backslash is a slash.
    ("with backslashes", |path| Some(clean(&decoded(path, false)?.replace('\\', "/")))),
];

/// `None`: refused. `keeps_slash`: an encoded slash is a letter of its segment.
fn decoded(path: &str, keeps_slash: bool) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'%' => {
                let byte = u8::from_str_radix(std::str::from_utf8(tail.get(..2)?).ok()?, 16).ok()?;
                rest = &tail[2..];
                out.push(if keeps_slash && byte == b'/' { b'_' } else { byte });
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

/// WHATWG URL, 4.4: a backslash is a slash, encoded dots are dots, and nothing else is decoded.
fn url_path(path: &str) -> String {
    let path = path.replace('\\', "/");
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let mut kept = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        let is_last = index + 1 == segments.len();
        match &*dots {
            ".." => drop(kept.pop()),
            "." => {}
            _ => kept.push(*segment),
        }
        if is_last && matches!(&*dots, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn without_params(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

fn clean(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    format!("/{}", kept.join("/"))
}

/// Whether the application would look under `/admin`.
pub fn is_under_admin(path: &str) -> bool {
    // A server that merges nothing is asked for what is behind the slashes.
    let path = path.trim_start_matches('/');
    path == "admin" || path.starts_with("admin/")
}

/// More than two hundred ways to ask for `/admin/x`, or for what some server takes for it.
pub fn spellings() -> Vec<String> {
    let before = [
        "",
        "/",
        "//",
        "/.",
        "/./.",
        "/x/..",
        "/x/%2e%2e",
        "/x/.%2E",
        "/x//..",
        "/x/./..",
        "/;",
        "/;a=b",
        "/.;",
        "/x;a/..",
        "/x/..;",
        "/x/..;a=b",
        "/%2f",
        "/x%2f..",
        "/x/..%2f",
        "/x%2F%2e%2e",
        "/\\",
        "/x\\..",
        "/x/..\\",
        "/%5c",
        "/x%5c..",
        "/%2e",
        "/x/y/../..",
        "/x/%2e%2e%2f",
        "/x/..%5c",
        "/x/..%2f.",
        "//x",
        "///x",
        "/\\x",
        "//u:p@x:80",
        "/x/..//y",
    ];
    let name = [
        "/admin",
        "/%61dmin",
        "/adm%69n",
        "/admin;a",
        "/admin;",
        "/admin%3b",
        "/admin%2f",
        "/admin%5c",
        "/admin\\",
        "/admin/.",
        "/admin%0a",
        "/admin%0d%0a",
        "/admin%23",
        "/admin%3f",
        "/admin%20",
        "/admin#",
    ];
    let after = [
        "/x",
        "",
        "/",
        "/../admin/x",
        "/%2e%2e/public",
        "/..;/x",
        "/..%2f..%2fpublic",
        "/..%5c..%5cpublic",
        "%2f..%2fpublic",
        "%5c..%5cpublic",
        "\\..\\public",
        ";a/..;b/public",
        "%2fx",
        "%5cx",
    ];
    let mut all = Vec::new();
    for before in before {
        for name in name {
            // All with all would be ten thousand, of which most say nothing new.
            let is_usual = name == "/admin" || ["", "/x/..", "//x"].contains(&before);
            for after in &after[..if is_usual { after.len() } else { 3 }] {
                all.push(format!("{before}{name}{after}"));
            }
        }
    }
    all
}
