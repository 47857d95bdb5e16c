//! What the origin answers.

use crate::origin::server::{Answers, field};

#[test]
fn the_last_segment_is_the_page() {
    let answers = Answers::new();
    let len = |path| answers.page(path).map(|answer| answer.bytes.len() - answer.head);
    assert_eq!(len("/1k"), Some(1024));
    assert_eq!(len("/two/api/items/64k"), Some(64 << 10));
    assert_eq!(len("/health/"), None);
}

#[test]
fn a_field_is_found_whatever_its_case() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length:  12\r\n\r\n";
    assert_eq!(field(head, "content-length"), Some("12"));
    assert_eq!(field(head, "cookie"), None);
}
