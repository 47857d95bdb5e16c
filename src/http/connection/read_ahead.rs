//! What reads an answer ahead of a client that does not take it yet.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::Context;

use http_body::Body;

/// The body of an answer, as a codec takes it.
pub trait AnswerFrames: Body {
    /// The client takes nothing now: reads what there is. Wakes the task when there is more, or more room.
    fn read_ahead(self: Pin<&mut Self>, cx: &mut Context<'_>);
}

/// The same for a body that its codec has out of sight.
pub trait ReadAhead {
    fn read_ahead(&self, cx: &mut Context<'_>);
}

/// The body that an HTTP/1.1 connection is sending, if it can be read ahead.
#[derive(Default)]
pub(super) struct SentBody(RefCell<Option<Weak<dyn ReadAhead>>>);

impl SentBody {
    pub fn set(&self, body: Weak<dyn ReadAhead>) {
        *self.0.borrow_mut() = Some(body);
    }

    pub fn read_ahead(&self, cx: &mut Context<'_>) {
        let body: Option<Rc<dyn ReadAhead>> = self.0.borrow().as_ref().and_then(Weak::upgrade);
        match body {
            Some(body) => body.read_ahead(cx),
            None => *self.0.borrow_mut() = None,
        }
    }
}
