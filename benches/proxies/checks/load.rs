//! The requests, when they are due, and quantiles of how long they took.

use std::time::Duration;

use crate::load::request::{KIB_1, Request, Shape};
use crate::load::spread::Spread;
use crate::load::steady::keep;

#[test]
fn a_browser_sends_fifteen_fields_and_600_bytes_of_cookies() {
    let request = Request::new(true, "a.test", KIB_1, Shape::Browser).unwrap();
    let head = String::from_utf8(request.h1).unwrap();
    let fields: Vec<_> = head.lines().skip(1).filter(|line| !line.is_empty()).collect();
    assert_eq!(fields.len(), 15, "{fields:?}");
    assert!(fields.iter().any(|field| field.strip_prefix("cookie: ").is_some_and(|value| value.len() == 600)));
}

#[test]
fn a_post_carries_its_body() {
    let request = Request::new(false, "a.test", KIB_1.at("/api/1k"), Shape::Post(100)).unwrap();
    let text = String::from_utf8(request.h1).unwrap();
    assert!(text.starts_with("POST /api/1k HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("\r\ncontent-length: 100\r\n\r\nxxx"), "{text}");
}

#[test]
fn quantiles_are_by_nearest_rank() {
    let mut spread = Spread::default();
    (1..=1000).rev().for_each(|micros| spread.add(Duration::from_micros(micros)));
    assert_eq!(spread.quantiles([0.5, 0.99, 0.999, 1.0]), [500.0, 990.0, 999.0, 1000.0]);
}

#[test]
fn quantiles_of_few_and_of_none() {
    let mut spread = Spread::default();
    assert_eq!(spread.quantiles([0.5, 0.999]), [0.0, 0.0]);
    spread.add(Duration::from_micros(7));
    assert_eq!(spread.quantiles([0.0, 0.5, 0.999]), [7.0, 7.0, 7.0]);
    let mut other = Spread::default();
    other.add(Duration::from_micros(9));
    spread.merge(&other);
    assert_eq!((spread.len(), spread.quantiles([0.999])), (2, [9.0]));
}

#[test]
fn a_listener_that_is_slow_changes_no_due_time() {
    let mut due = Vec::new();
    let late = keep(1000.0, 20, |at| {
        due.push(at);
        std::thread::sleep(Duration::from_millis(3));
        true
    });
    assert!(due.windows(2).all(|two| two[1] - two[0] == Duration::from_millis(1)), "{due:?}");
    assert_eq!(late.len(), 20);
    assert!(late.quantiles([1.0])[0] >= 30_000.0, "the wait of the last is in its figure");
}

#[test]
fn a_schedule_without_listeners_ends() {
    let mut said = 0;
    keep(1000.0, 1000, |_| {
        said += 1;
        said < 3
    });
    assert_eq!(said, 3);
}
