//! The operator's pages, and which of the backend's answers get one.

use std::sync::Arc;

use http::StatusCode;

use super::builtin::escaped;
use super::said::Said;
use crate::config::{ErrorFolder, PageName};

/// What a route has of `errors` and `errors_intercept`.
#[derive(Debug, Clone, Default)]
pub struct ErrorPages {
    folder: Option<Arc<ErrorFolder>>,
    intercepted: Vec<StatusCode>,
}

impl ErrorPages {
    pub fn new(folder: Option<Arc<ErrorFolder>>, intercepted: Vec<StatusCode>) -> Self {
        Self { folder, intercepted }
    }

    /// `404.html`, else `40x.html`; `503.html`, else `50x.html`.
    pub fn of_status(&self, status: StatusCode) -> Option<&str> {
        let code = status.as_u16();
        self.named(PageName::Status(code)).or_else(|| self.named(PageName::Class((code / 100) as u8)))
    }

    /// `maintenance.html`, else as of its status.
    pub fn of_maintenance(&self, status: StatusCode) -> Option<&str> {
        self.named(PageName::Maintenance).or_else(|| self.of_status(status))
    }

    /// Whether a backend's answer of this status gets our page.
    pub fn intercepts(&self, status: StatusCode) -> bool {
        self.intercepted.contains(&status)
    }

    fn named(&self, name: PageName) -> Option<&str> {
        self.folder.as_ref()?.pages.get(&name).map(String::as_str)
    }
}

/// The page with `$status`, `$message` and `$request_id` filled in. Any other `$` stands for itself.
pub(super) fn filled(page: &str, said: &Said<'_>) -> String {
    let mut parts = page.split('$');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = ["status", "message", "request_id"].into_iter().find(|name| is_named(part, name));
        match known {
            Some("status") => filled += said.status.as_str(),
            Some("message") => filled += &escaped(said.text),
            Some(_) => filled += said.request_id,
            None => filled.push('$'),
        }
        filled += &part[known.map_or(0, str::len)..];
    }
    filled
}

/// Whether a text begins with this name and not with a longer one.
fn is_named(text: &str, name: &str) -> bool {
    let follows = |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_');
    text.strip_prefix(name).is_some_and(|rest| !follows(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_chosen_by_status_then_by_class() {
        let page = |name, text: &str| (name, text.to_owned());
        let pages = [
            page(PageName::Status(404), "404"),
            page(PageName::Class(5), "50x"),
            page(PageName::Maintenance, "maintenance"),
        ];
        let folder = ErrorFolder { path: "/pages".into(), pages: pages.into() };
        let pages = ErrorPages::new(Some(Arc::new(folder)), vec![StatusCode::BAD_GATEWAY]);
        assert_eq!(pages.of_status(StatusCode::NOT_FOUND), Some("404"));
        assert_eq!(pages.of_status(StatusCode::FORBIDDEN), None);
        assert_eq!(pages.of_status(StatusCode::BAD_GATEWAY), Some("50x"));
        assert_eq!(pages.of_maintenance(StatusCode::SERVICE_UNAVAILABLE), Some("maintenance"));
        assert!(pages.intercepts(StatusCode::BAD_GATEWAY) && !pages.intercepts(StatusCode::NOT_FOUND));
        assert_eq!(ErrorPages::default().of_status(StatusCode::NOT_FOUND), None);
    }

    #[test]
    fn what_is_said_is_filled_in_escaped_and_once() {
        let said =
            Said { status: StatusCode::NOT_FOUND, reason: "x", text: "<b>$status</b> & \"more\"", request_id: "id-1" };
        for (page, expected) in [
            ("$status: $message ($request_id)", "404: &lt;b&gt;$status&lt;/b&gt; &amp; &quot;more&quot; (id-1)"),
            ("costs $5, $statuses $ $$status$", "costs $5, $statuses $ $404$"),
            ("$messages $request_id2 $request_id.", "$messages $request_id2 id-1."),
            ("", ""),
        ] {
            assert_eq!(filled(page, &said), expected, "{page}");
        }
    }
}
