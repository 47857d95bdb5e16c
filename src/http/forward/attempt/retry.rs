//! What to do after a try without an answer. Pure: what happened comes in, what to do comes out.
//!
//! A request is sent a second time only when nothing of it can have been processed, or when its method says that doing it
//! twice is doing it once (RFC 9110, 9.2.2), all of its body is here, and it was never answered. nginx: `proxy_next_upstream`.

use crate::error::Failure;

/// How a try without an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TryEnd {
    /// There is no connection to the backend; the request is still here.
    NotConnected(Failure),
    /// Something other than the backend's connection ended it: a timeout, a cut, the client's own body.
    Stopped(Failure),
    /// The backend has refused it, and says that it has processed nothing of it (RFC 9113, 8.7).
    Refused(Failure),
    /// The connection broke while the answer was waited for.
    Lost {
        why: Failure,
        /// It had been idle before: its backend may have closed it as the request was sent.
        was_idle: bool,
        /// The request was handed to the connection; otherwise it came back untouched.
        has_left: bool,
    },
}

/// What is left to try with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Means {
    /// Backends that were assigned so far, the one of this try included.
    pub attempts: u32,
    /// The service's `retries`.
    pub retries: u32,
    /// Some of the request's body was sent to a backend: it can't be sent again.
    pub body_begun: bool,
    /// The request can be made again: its method is idempotent, and it has no body or all of it is here.
    pub can_repeat: bool,
    /// Whatever its method: all of the request is still here to be sent.
    pub is_whole: bool,
    /// How often a backend has refused it, this time included.
    pub refusals: u32,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The client is answered with this failure.
    Stop(Failure),
    /// Another backend, if there is one; the client is answered with this failure if not.
    OtherBackend(Failure),
    /// The same backend on a new connection: a backend that closes an idle connection has not failed, and the try does not count.
    FreshConnection(Failure),
}

/// What follows: for the backend, for the counters, for the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Consequence {
    /// The failure is the backend's own: too many in a row take it out of its pool.
    pub blames_backend: bool,
    /// The metric of upstream failures counts it.
    pub counts_failure: bool,
    /// The metric of retries counts the try that follows.
    pub counts_retry: bool,
    pub next: Next,
}

/// Judges a try without an answer.
pub(super) fn judge(end: TryEnd, means: Means) -> Consequence {
    match end {
        TryEnd::Stopped(why) => {
            Consequence { blames_backend: false, counts_failure: false, counts_retry: false, next: Next::Stop(why) }
        }
        TryEnd::NotConnected(why) => leave_backend(why, is_its_own(why), means),
        TryEnd::Refused(why) => {
            // A backend that restarts refuses by closing its connection, as others do with an idle one: `retries = 0` is not about it.
            let again = means.is_whole && means.refusals <= means.retries.max(1);
            let next = if again { Next::FreshConnection(why) } else { Next::Stop(why) };
            Consequence { blames_backend: false, counts_failure: !again, counts_retry: again, next }
        }
        TryEnd::Lost { why, was_idle, has_left } => {
            let can_be_sent = !has_left || means.can_repeat && why == Failure::UpstreamReset;
            let blames_backend = !was_idle && is_its_own(why);
            if !can_be_sent {
                let (counts_failure, counts_retry) = (true, false);
                Consequence { blames_backend, counts_failure, counts_retry, next: Next::Stop(why) }
            } else if was_idle {
                let (counts_failure, counts_retry) = (false, has_left);
                Consequence { blames_backend, counts_failure, counts_retry, next: Next::FreshConnection(why) }
            } else {
                leave_backend(why, blames_backend, means)
            }
        }
    }
}

/// The backend is not tried again for this request. Another is, if there are retries left and the body can still be sent.
fn leave_backend(why: Failure, blames_backend: bool, means: Means) -> Consequence {
    let is_over = why == Failure::DrainCut || means.body_begun || means.attempts > means.retries;
    let next = if is_over { Next::Stop(why) } else { Next::OtherBackend(why) };
    Consequence { blames_backend, counts_failure: true, counts_retry: !is_over, next }
}

/// Whether the failure is the backend's own.
fn is_its_own(why: Failure) -> bool {
    matches!(why, Failure::ConnectFailed | Failure::ConnectTimeout | Failure::UpstreamReset)
}

#[cfg(test)]
mod tests {
    use Failure::{
        BodyTooLarge, ConnectFailed, ConnectTimeout, DrainCut, ResponseTimeout, UpstreamInvalid, UpstreamReset,
    };
    use Next::{FreshConnection, OtherBackend, Stop};

    use super::*;

    /// The first of three tries at a GET without a body.
    const PLENTY: Means =
        Means { attempts: 1, retries: 2, body_begun: false, can_repeat: true, is_whole: true, refusals: 1 };

    fn lost(why: Failure, was_idle: bool, has_left: bool) -> TryEnd {
        TryEnd::Lost { why, was_idle, has_left }
    }

    fn every_end() -> Vec<TryEnd> {
        let mut ends: Vec<_> = [ConnectFailed, ConnectTimeout, DrainCut].map(TryEnd::NotConnected).into();
        ends.extend([ResponseTimeout, DrainCut, BodyTooLarge, Failure::Internal].map(TryEnd::Stopped));
        ends.push(TryEnd::Refused(UpstreamReset));
        for was_idle in [false, true] {
            for has_left in [false, true] {
                ends.extend([UpstreamReset, UpstreamInvalid].map(|why| lost(why, was_idle, has_left)));
            }
        }
        ends
    }

    fn every_means() -> Vec<Means> {
        let mut all = Vec::new();
        for attempts in 0..4 {
            for retries in 0..3 {
                for (body_begun, can_repeat) in [(false, false), (false, true), (true, false), (true, true)] {
                    for is_whole in [false, true] {
                        all.push(Means { attempts, retries, body_begun, can_repeat, is_whole, refusals: attempts });
                    }
                }
            }
        }
        all
    }

    /// The end of the try and what is left; then: blames, counts a failure, counts a retry, next.
    #[test]
    fn the_table() {
        let post = Means { can_repeat: false, ..PLENTY };
        let begun = Means { body_begun: true, ..post };
        let second = Means { attempts: 2, ..PLENTY };
        let last = Means { attempts: 3, ..PLENTY };
        let none = Means { retries: 0, ..PLENTY };
        let gone = Means { is_whole: false, ..begun };
        let twice = |means| Means { refusals: 2, ..means };
        let rows = [
            (TryEnd::NotConnected(ConnectFailed), PLENTY, (true, true, true, OtherBackend(ConnectFailed))),
            (TryEnd::NotConnected(ConnectTimeout), PLENTY, (true, true, true, OtherBackend(ConnectTimeout))),
            (TryEnd::NotConnected(ConnectFailed), post, (true, true, true, OtherBackend(ConnectFailed))),
            (TryEnd::NotConnected(ConnectFailed), begun, (true, true, false, Stop(ConnectFailed))),
            (TryEnd::NotConnected(ConnectFailed), second, (true, true, true, OtherBackend(ConnectFailed))),
            (TryEnd::NotConnected(ConnectFailed), last, (true, true, false, Stop(ConnectFailed))),
            (TryEnd::NotConnected(ConnectFailed), none, (true, true, false, Stop(ConnectFailed))),
            (TryEnd::NotConnected(DrainCut), PLENTY, (false, true, false, Stop(DrainCut))),
            (TryEnd::Refused(UpstreamReset), PLENTY, (false, false, true, FreshConnection(UpstreamReset))),
            (TryEnd::Refused(UpstreamReset), begun, (false, false, true, FreshConnection(UpstreamReset))),
            (TryEnd::Refused(UpstreamReset), gone, (false, true, false, Stop(UpstreamReset))),
            (TryEnd::Refused(UpstreamReset), none, (false, false, true, FreshConnection(UpstreamReset))),
            (TryEnd::Refused(UpstreamReset), twice(none), (false, true, false, Stop(UpstreamReset))),
            (TryEnd::Refused(UpstreamReset), twice(PLENTY), (false, false, true, FreshConnection(UpstreamReset))),
            (TryEnd::Stopped(ResponseTimeout), PLENTY, (false, false, false, Stop(ResponseTimeout))),
            (TryEnd::Stopped(DrainCut), PLENTY, (false, false, false, Stop(DrainCut))),
            (TryEnd::Stopped(BodyTooLarge), begun, (false, false, false, Stop(BodyTooLarge))),
            (lost(UpstreamReset, false, true), PLENTY, (true, true, true, OtherBackend(UpstreamReset))),
            (lost(UpstreamReset, false, true), post, (true, true, false, Stop(UpstreamReset))),
            (lost(UpstreamReset, false, true), last, (true, true, false, Stop(UpstreamReset))),
            (lost(UpstreamReset, false, false), post, (true, true, true, OtherBackend(UpstreamReset))),
            (lost(UpstreamReset, false, false), begun, (true, true, false, Stop(UpstreamReset))),
            (lost(UpstreamReset, true, true), PLENTY, (false, false, true, FreshConnection(UpstreamReset))),
            (lost(UpstreamReset, true, true), last, (false, false, true, FreshConnection(UpstreamReset))),
            (lost(UpstreamReset, true, true), post, (false, true, false, Stop(UpstreamReset))),
            (lost(UpstreamReset, true, false), post, (false, false, false, FreshConnection(UpstreamReset))),
            (lost(UpstreamInvalid, false, true), PLENTY, (false, true, false, Stop(UpstreamInvalid))),
            (lost(UpstreamInvalid, true, true), PLENTY, (false, true, false, Stop(UpstreamInvalid))),
        ];
        for (end, means, (blames_backend, counts_failure, counts_retry, next)) in rows {
            let expected = Consequence { blames_backend, counts_failure, counts_retry, next };
            assert_eq!(judge(end, means), expected, "{end:?} with {means:?}");
        }
    }

    #[test]
    fn a_request_that_may_have_been_processed_is_sent_again_only_if_it_can_be_repeated() {
        for end in every_end() {
            for means in every_means() {
                let is_over = matches!(judge(end, means).next, Stop(_));
                let may_be_processed = matches!(end, TryEnd::Lost { has_left: true, .. } | TryEnd::Stopped(_));
                assert!(is_over || !may_be_processed || means.can_repeat, "{end:?} with {means:?}");
            }
        }
    }

    #[test]
    fn in_every_case_the_retries_bound_the_backends_that_are_tried() {
        for end in every_end() {
            for means in every_means().into_iter().filter(|means| means.attempts > means.retries) {
                assert!(!matches!(judge(end, means).next, OtherBackend(_)), "{end:?} with {means:?}");
            }
        }
    }

    #[test]
    fn a_retry_that_is_counted_follows_and_a_failure_keeps_its_name() {
        for end in every_end() {
            let (TryEnd::NotConnected(why) | TryEnd::Stopped(why) | TryEnd::Refused(why) | TryEnd::Lost { why, .. }) =
                end;
            for means in every_means() {
                let done = judge(end, means);
                let (Stop(kept) | OtherBackend(kept) | FreshConnection(kept)) = done.next;
                assert_eq!(kept, why);
                assert!(!done.counts_retry || !matches!(done.next, Stop(_)), "{end:?} with {means:?}");
            }
        }
    }
}
