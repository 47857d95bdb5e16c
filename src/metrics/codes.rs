//! Status codes and methods as array indices, so that no backend or client can add a time series.
//!
//! Codes of the IANA registry have a slot each; any other counts for its class (`"4xx"`), and what has no class for
//! `"other"`. Methods: the nine standard ones, else `"OTHER"`.

use http::Method;

/// RFC 9110 and the IANA registry of HTTP status codes, 2025.
const REGISTERED: [u16; 62] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
    401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425,
    426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
];

const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

pub(super) const CODE_SLOTS: usize = REGISTERED.len() + CLASSES.len();

pub(super) const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "OTHER"];

pub(super) fn method_slot(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::PATCH => 5,
        Method::OPTIONS => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => 9,
    }
}

pub(super) fn code_slot(status: u16) -> usize {
    usize::from(*SLOTS.get(usize::from(status)).unwrap_or(&OTHER))
}

pub(super) fn code_label(slot: usize) -> String {
    match REGISTERED.get(slot) {
        Some(code) => code.to_string(),
        None => CLASSES[slot - REGISTERED.len()].to_owned(),
    }
}

const OTHER: u8 = (CODE_SLOTS - 1) as u8;

static SLOTS: [u8; 600] = {
    let mut slots = [OTHER; 600];
    let mut code = 100;
    while code < 600 {
        slots[code] = (REGISTERED.len() + code / 100 - 1) as u8;
        code += 1;
    }
    let mut slot = 0;
    while slot < REGISTERED.len() {
        slots[REGISTERED[slot] as usize] = slot as u8;
        slot += 1;
    }
    slots
};

#[cfg(test)]
mod tests {
    use super::{code_label, code_slot};

    #[test]
    fn registered_codes_count_for_themselves_others_for_their_class() {
        for (status, label) in [
            (100, "100"),
            (200, "200"),
            (404, "404"),
            (511, "511"),
            (299, "2xx"),
            (499, "4xx"),
            (599, "5xx"),
            (0, "other"),
            (99, "other"),
            (600, "other"),
            (u16::MAX, "other"),
        ] {
            assert_eq!(code_label(code_slot(status)), label, "{status}");
        }
    }
}
