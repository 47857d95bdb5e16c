//! Which parts of a request's target we have percent-encoded ourselves. Pure.

use std::ops::Range;

/// Where in a request's target our escapes are: what its client wrote can be told from what we have made of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Escapes(Vec<usize>);

impl Escapes {
    /// Another of the target's bytes is encoded: the one at `place` in what the client has written.
    pub(super) fn add(&mut self, place: usize) {
        self.0.push(place + 2 * self.0.len());
    }

    /// The target as its client wrote it; `None` where that is not UTF-8.
    pub fn undone(&self, target: &str) -> Option<String> {
        let mut written = Vec::with_capacity(target.len());
        let mut rest = 0;
        for &place in &self.0 {
            let Range { start, end } = place + 1..place + 3;
            written.extend_from_slice(target.as_bytes().get(rest..place)?);
            written.push(u8::from_str_radix(target.get(start..end)?, 16).ok()?);
            rest = end;
        }
        written.extend_from_slice(target.as_bytes().get(rest..)?);
        String::from_utf8(written).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_has_written_comes_back() {
        for (written, sent, places) in [
            ("/", "/", vec![]),
            ("/?q=\"x\"", "/?q=%22x%22", vec![4, 6]),
            ("/caf\u{e9}", "/caf%C3%A9", vec![4, 5]),
            ("/%22\"%22", "/%22%22%22", vec![4]),
        ] {
            let mut escapes = Escapes::default();
            for place in places {
                escapes.add(place);
            }
            assert_eq!(escapes.undone(sent).as_deref(), Some(written));
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_encoded() {
        let mut escapes = Escapes::default();
        escapes.add(1);
        assert_eq!(escapes.undone("/%FF"), None);
        assert_eq!(escapes.undone("/"), None, "another target");
    }
}
