//! Early hints (RFC 8297) of one connection's exchanges, on their way from the backend's connection to the client's codec.

use std::cell::RefCell;

use http::HeaderMap;

/// Those that wait to be sent, each with the number of its exchange.
#[derive(Default)]
pub struct Hints(RefCell<Vec<(u64, HeaderMap)>>);

impl Hints {
    pub fn push(&self, exchange: u64, fields: HeaderMap) {
        self.0.borrow_mut().push((exchange, fields));
    }

    /// The oldest of this exchange.
    pub(super) fn take(&self, exchange: u64) -> impl Iterator<Item = HeaderMap> {
        std::iter::from_fn(move || {
            let mut all = self.0.borrow_mut();
            let at = all.iter().position(|(of, _)| *of == exchange)?;
            Some(all.remove(at).1)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
