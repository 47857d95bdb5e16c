//! A path as a URL parser reads it, which some applications give it to before they decode it (WHATWG URL, 4.4).

use super::dots::without_dots;
use super::reading::BadPath;

/// Whether a parser that is given the path with a base takes what follows the slashes for a host.
pub(super) fn is_network_path(path: &str) -> bool {
    matches!(path.as_bytes(), [b'/', b'/' | b'\\', ..])
}

/// What follows the host: any number of slashes, of either kind, then the host up to a slash, or up to `end` too.
pub(super) fn behind_authority(path: &str, end: char) -> &str {
    let host = path.trim_start_matches(['/', '\\']);
    host.find(['/', end]).map_or("", |length| &host[length..])
}

/// Backslashes are slashes, and dot segments are resolved; nothing is decoded.
pub(super) fn as_url(path: &str) -> Result<String, BadPath> {
    without_dots(&path.replace('\\', "/"))
}
