//! How far an exchange has come.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::upload::UploadProgress;
use crate::http::visit::Visitor;
use crate::service::{HeldTurn, InFlight};
use crate::types::Color;

/// What has happened so far, between the request's head and the answer's last byte.
#[derive(Default)]
pub struct Progress {
    /// Some of the request's body is still to come, on a connection that carries nothing else meanwhile.
    pub unread: bool,
    /// How far the request's body has come on its way to the backend, if there is one.
    pub upload: Option<Rc<UploadProgress>>,
    /// Counted by the upload, where there is one.
    pub bytes_in: Option<Rc<Cell<u64>>>,
    pub bytes_out: u64,
    /// The time from asking the backend to its head.
    pub upstream: Option<Duration>,
    pub attempts: u32,
    /// The zone that has delayed or refused it.
    pub limited: Option<Arc<str>>,
    /// Whether it has waited for room at a backend, for the end of a pause or for its turn in a zone: then it is older than its
    /// request to the backend.
    pub has_waited: bool,
    pub in_flight: Option<InFlight>,
    /// A pause has held it, and the next held request waits until this one has a backend.
    pub held: Option<Box<HeldTurn>>,
    /// What the answer gives to a client that we recognize, or are to recognize the next time.
    pub visitor: Option<Box<Visitor>>,
}

impl Progress {
    /// The colour it is in the pool of, if any.
    pub fn color(&self) -> Option<Color> {
        self.in_flight.as_ref().and_then(|in_flight| in_flight.pool().color())
    }

    /// Whether some of the request's body has not been passed on, on a connection that carries nothing else meanwhile.
    pub fn is_uploading(&self) -> bool {
        self.unread && !self.upload.as_ref().is_some_and(|upload| upload.is_done())
    }
}
