//! Which form of a page a client reads best (RFC 9110, 12.5.1).

use http::HeaderValue;

/// The forms of an answer of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageForm {
    Html,
    /// RFC 9457.
    Json,
    /// For curl, and for whoever names neither.
    Text,
}

impl PageForm {
    /// HTML is for who names it: a script that takes anything (`*/*`) would try to read a page as JSON.
    pub fn of(accept: Option<&HeaderValue>) -> Self {
        let Some(accept) = accept.and_then(|accept| accept.to_str().ok()) else { return Self::Text };
        let (mut html, mut json) = (0, 0);
        for member in accept.split(',') {
            let mut parts = member.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|parameter| parameter.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('='));
            let weight = weight.map_or(1000, thousandths);
            match name.as_str() {
                "text/html" | "application/xhtml+xml" => html = html.max(weight),
                "application/json" | "application/problem+json" => json = json.max(weight),
                name if name.ends_with("+json") => json = json.max(weight),
                _ => {}
            }
        }
        match (html, json) {
            (0, 0) => Self::Text,
            (html, json) if html >= json => Self::Html,
            _ => Self::Json,
        }
    }
}

/// `0.8` is 800; what is no weight is none.
fn thousandths(weight: &str) -> u16 {
    let (whole, rest) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    if rest.len() > 3 || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return 0;
    }
    match whole {
        "1" => 1000,
        "0" => format!("{rest:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_for_who_names_it() {
        use PageForm::{Html, Json, Text};
        for (accept, form) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Html),
            ("Text/HTML", Html),
            ("application/xhtml+xml", Html),
            ("text/html;q=0.001", Html),
            ("text/html;q=0", Text),
            ("text/html; q = 0", Text),
            ("text/html;q=0, application/json", Json),
            ("text/html, application/json", Html),
            ("text/html;q=0.8, application/json", Json),
            ("text/html;level=1;q=0.4, application/json;q=0.399", Html),
            ("application/json", Json),
            ("application/problem+json", Json),
            ("application/vnd.api+json", Json),
            ("application/json;q=2", Text),
            ("application/json;q=0.12345", Text),
            ("*/*", Text),
            ("text/*", Text),
            ("text/plain", Text),
            ("image/webp,*/*", Text),
            ("", Text),
            (",;,=", Text),
        ] {
            assert_eq!(PageForm::of(Some(&HeaderValue::from_static(accept))), form, "{accept:?}");
        }
        assert_eq!(PageForm::of(None), Text);
        assert_eq!(PageForm::of(Some(&HeaderValue::from_bytes(b"text/html,\xff").unwrap())), Text);
    }
}
