//! The Date field of answers (RFC 9110, 6.6.1), made once a second.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// The latest, and the second that it is of.
#[derive(Default)]
pub struct Dates(RefCell<Option<(u64, HeaderValue)>>);

impl Dates {
    pub fn now(&self) -> HeaderValue {
        self.at(SystemTime::now())
    }

    fn at(&self, now: SystemTime) -> HeaderValue {
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut latest = self.0.borrow_mut();
        match &*latest {
            Some((of, value)) if *of == second => value.clone(),
            _ => {
                let text = httpdate::fmt_http_date(now);
                let value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
                *latest = Some((second, value.clone()));
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_the_second_s_that_it_is_asked_in() {
        let dates = Dates::default();
        let at = |millis| dates.at(UNIX_EPOCH + Duration::from_millis(millis));
        assert_eq!(at(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_777_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(784_111_778_000), "Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
