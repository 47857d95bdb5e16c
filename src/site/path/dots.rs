//! Dot segments in a path as it was written (RFC 3986, 5.2.4): what is sent has none.

use super::reading::BadPath;

/// Whether a segment is `.` or `..`, written or encoded.
pub(super) fn has_dots(path: &str) -> bool {
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
pub(super) fn without_dots(path: &str) -> Result<String, BadPath> {
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
