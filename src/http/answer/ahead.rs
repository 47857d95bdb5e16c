//! A backend's body that is read ahead of its client, so that the backend is soon free. nginx: `proxy_buffering`.
//!
//! Nothing waits here: what the client can take goes to it at once, and only what it leaves is kept. A body that breaks off breaks off
//! for the client too, behind what was kept.

use std::cell::RefCell;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use super::relayed::{BrokenOff, Relayed};
use crate::error::Broken;
use crate::http::connection::ReadAhead;
use crate::spool::Fifo;

/// A body in whose place the codec and the connection both read: the one for the client, the other for what the client leaves.
pub struct Ahead(RefCell<State>);

struct State {
    relayed: Relayed,
    /// Made when the client leaves something for the first time.
    kept: Option<Box<Fifo>>,
    end: Option<End>,
    is_over: bool,
}

/// How the backend's body has ended.
enum End {
    Whole(Option<HeaderMap>),
    Broken(Broken),
}

impl Ahead {
    pub fn new(relayed: Relayed) -> Self {
        Self(RefCell::new(State { relayed, kept: None, end: None, is_over: false }))
    }

    pub fn is_h2(&self) -> bool {
        self.0.borrow().relayed.exchange().request.is_h2()
    }

    pub fn poll_frame(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.0.borrow_mut().poll_frame(cx)
    }

    pub fn is_at_end(&self) -> bool {
        self.0.borrow().is_over
    }
}

impl ReadAhead for Ahead {
    fn read_ahead(&self, cx: &mut Context<'_>) {
        let mut state = self.0.borrow_mut();
        if !state.is_over && state.end.is_none() {
            let _ = state.poll_ahead(cx);
        }
    }
}

impl State {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let live = &self.relayed.exchange().live;
        live.client_paid();
        if let Some(why) = live.broken() {
            return self.broken_off(why);
        }
        if let Some(kept) = &mut self.kept {
            match ready!(kept.poll_next(cx)) {
                Ok(Some(part)) => return self.give(Frame::data(part)),
                Ok(None) => {}
                Err(_) => return self.broken_off(Broken::UpstreamAborted),
            }
        }
        if self.end.is_none() {
            match ready!(self.relayed.poll_backend(cx)) {
                Some(Ok(frame)) if frame.is_data() => {
                    self.end = self.relayed.has_ended().then_some(End::Whole(None));
                    return self.give(frame);
                }
                Some(Ok(frame)) => self.end = Some(End::Whole(frame.into_trailers().ok())),
                Some(Err(why)) => self.end = Some(End::Broken(why)),
                None => self.end = Some(End::Whole(None)),
            }
        }
        match self.end.take() {
            Some(End::Whole(Some(trailers))) => {
                self.end = Some(End::Whole(None));
                self.give(Frame::trailers(trailers))
            }
            Some(End::Broken(why)) => self.broken_off(why),
            Some(End::Whole(None)) | None => {
                self.complete();
                Poll::Ready(None)
            }
        }
    }

    /// Reads what the backend has, as long as there is room for it.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.end.is_none() {
            let relayed = &self.relayed;
            let kept = self.kept.get_or_insert_with(|| Box::new(relayed.exchange().conn().fifo(relayed.kept())));
            if kept.poll_room(cx).is_pending() {
                self.relayed.rests();
                return Poll::Pending;
            }
            match ready!(self.relayed.poll_backend(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    kept.push(data);
                    self.end = self.relayed.has_ended().then_some(End::Whole(None));
                }
                Some(Ok(Err(last))) => self.end = Some(End::Whole(last.into_trailers().ok())),
                Some(Err(why)) => self.end = Some(End::Broken(why)),
                None => self.end = Some(End::Whole(None)),
            }
        }
        if matches!(self.end, Some(End::Whole(_))) {
            self.relayed.leave_backend();
        }
        Poll::Ready(())
    }

    fn give(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if matches!(self.end, Some(End::Whole(None))) && self.kept.as_ref().is_none_or(|kept| kept.is_empty()) {
            self.complete();
        }
        self.relayed.gave(&frame);
        Poll::Ready(Some(Ok(frame)))
    }

    fn complete(&mut self) {
        self.is_over = true;
        self.relayed.complete();
    }

    fn broken_off(&mut self, why: Broken) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.is_over = true;
        Poll::Ready(Some(Err(self.relayed.break_off(why))))
    }
}
