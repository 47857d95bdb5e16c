//! How an exchange ended. Pure: what happened comes in, what is logged and counted comes out.

use http::StatusCode;

use crate::error::{Broken, Failure};

/// nginx's code for a client that left before the answer: only in logs and metrics, never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// How an exchange ended, noted as it becomes known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// 0 until a head was answered.
    pub status: u16,
    /// Set once the answer's last byte was handed over.
    pub complete: bool,
    /// The stable reason of a failure or a break.
    error: Option<&'static str>,
}

impl Outcome {
    pub fn failed(&mut self, failure: Failure) {
        self.error = Some(failure.reason());
    }

    /// The first break is the cause of what follows.
    pub fn broke(&mut self, why: Broken) {
        self.error.get_or_insert(why.reason());
    }

    pub fn error(&self) -> Option<&'static str> {
        self.error
    }

    pub fn is_tunnel(&self) -> bool {
        self.status == StatusCode::SWITCHING_PROTOCOLS.as_u16()
    }

    /// The exchange is over. `broken`: why the sweep has ended it, if it has: an answer that was handed over whole may still
    /// have been cut in the codec.
    pub fn close(&mut self, broken: Option<Broken>) {
        if let Some(why) = broken.or((!self.complete).then_some(Broken::ClientAborted)) {
            self.broke(why);
        }
        if self.status == 0 {
            self.status = CLIENT_CLOSED_REQUEST;
        }
    }

    /// Whether it is the backend's fault. Never what the client did (4xx, 499), nor a tunnel, nor what a drain has cut, nor our own
    /// lack of descriptors.
    /// `answered`: the head came from the backend.
    pub fn backend_failed(&self, answered: bool) -> bool {
        let ended_by = |why: Broken| self.error == Some(why.reason());
        match self.status {
            // A head that came from the backend is its failure, even if a drain then cut the body.
            500.. => answered || !ended_by(Broken::DrainCut) && self.error != Some(Failure::OutOfDescriptors.reason()),
            200..400 => ended_by(Broken::UpstreamAborted) || ended_by(Broken::UpstreamTooSlow),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(status: u16, complete: bool, broken: Option<Broken>) -> Outcome {
        let mut outcome = Outcome { status, complete, error: None };
        outcome.close(broken);
        outcome
    }

    #[test]
    fn a_client_that_leaves_before_the_head_is_a_499() {
        let outcome = ended(0, false, None);
        assert_eq!((outcome.status, outcome.error()), (499, Some("client_aborted")));
    }

    #[test]
    fn a_complete_exchange_has_no_error_unless_the_sweep_ended_it() {
        assert_eq!(ended(200, true, None).error(), None);
        assert_eq!(ended(200, true, Some(Broken::ClientTooSlow)).error(), Some("client_too_slow"));
        assert_eq!(ended(200, false, None).error(), Some("client_aborted"));
    }

    #[test]
    fn the_last_failure_is_what_the_client_was_answered_with() {
        let mut outcome = Outcome::default();
        outcome.failed(Failure::ConnectFailed);
        outcome.failed(Failure::QueueTimeout);
        outcome.close(None);
        assert_eq!(outcome.error(), Some("queue_timeout"), "that it is not complete is no other cause");
    }

    #[test]
    fn the_first_break_stays() {
        let mut outcome = Outcome { status: 200, ..Outcome::default() };
        outcome.broke(Broken::UpstreamAborted);
        outcome.close(Some(Broken::DrainCut));
        assert_eq!(outcome.error(), Some("upstream_aborted"));
    }

    #[test]
    fn the_backend_fails_by_its_own_5xx_and_by_breaking_off() {
        let with = |status, why: Option<Broken>| {
            let mut outcome = Outcome { status, complete: true, error: None };
            if let Some(why) = why {
                outcome.broke(why);
            }
            outcome
        };
        for (outcome, answered, failed) in [
            (with(200, None), true, false),
            (with(200, Some(Broken::UpstreamAborted)), true, true),
            (with(304, Some(Broken::UpstreamTooSlow)), true, true),
            (with(200, Some(Broken::ClientAborted)), true, false),
            (with(200, Some(Broken::ClientTooSlow)), true, false),
            (with(200, Some(Broken::DrainCut)), true, false),
            (with(101, Some(Broken::UpstreamAborted)), true, false),
            (with(199, Some(Broken::UpstreamAborted)), true, false),
            (with(404, Some(Broken::UpstreamAborted)), true, false),
            (with(400, Some(Broken::UpstreamAborted)), true, false),
            (with(499, Some(Broken::ClientAborted)), false, false),
            (with(500, None), true, true),
            (with(502, None), false, true),
            (with(503, Some(Broken::DrainCut)), false, false),
            (with(500, Some(Broken::DrainCut)), true, true),
        ] {
            assert_eq!(outcome.backend_failed(answered), failed, "{outcome:?}, answered: {answered}");
        }
    }

    #[test]
    fn a_lack_of_descriptors_is_not_the_backends_fault() {
        let mut outcome = Outcome { status: 503, ..Outcome::default() };
        outcome.failed(Failure::OutOfDescriptors);
        assert!(!outcome.backend_failed(false));
    }

    #[test]
    fn a_tunnel_is_known_by_its_status() {
        assert!(Outcome { status: 101, ..Outcome::default() }.is_tunnel());
        assert!(!Outcome { status: 200, ..Outcome::default() }.is_tunnel());
    }
}
