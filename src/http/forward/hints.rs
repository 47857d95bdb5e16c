//! Early hints (RFC 8297): what an HTTP/1.1 backend says before its answer, passed on while that is waited for.
//!
//! HTTP/2 clients get them, and HTTP/1.1 clients of a site that says so (`early_hints`), since some of these take them for the answer
//! (RFC 8297, 3). Of other 1xx, none is passed on. From an HTTP/2 backend there are none: the codec's client drops them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use http::header::{CONTENT_SECURITY_POLICY, LINK};
use http::{HeaderMap, Request, StatusCode, Version};
use parking_lot::Mutex;

use super::respond::list_size;
use crate::http::connection::Conn;
use crate::http::exchange::Exchange;

/// Of one exchange; more are dropped.
const MOST: usize = 16;

/// The largest that is passed on, as HTTP/2 counts a head.
const LARGEST: usize = 16 * 1024;

/// What the backend's connection has read, for the exchange that waits on it.
#[derive(Default)]
pub(super) struct Heard(Mutex<HeardHints>);

#[derive(Default)]
struct HeardHints {
    heard: usize,
    waiting: Vec<HeaderMap>,
    listener: Option<Waker>,
}

/// Listens for hints to this request, if its client wants them.
pub(super) fn listen<B>(exchange: &Exchange, request: &mut Request<B>) -> Option<Arc<Heard>> {
    let wants = match exchange.request.version() {
        Version::HTTP_2 => true,
        Version::HTTP_11 => exchange.route().early_hints,
        _ => false,
    };
    wants.then(|| {
        let heard = Arc::<Heard>::default();
        let hears = heard.clone();
        hyper::ext::on_informational(request, move |head| {
            if head.status() == StatusCode::EARLY_HINTS {
                hears.hear(head.headers());
            }
        });
        heard
    })
}

/// Waits for the answer, and passes on what is heard meanwhile.
pub(super) async fn while_passing_on<F: Future>(answer: F, heard: Option<&Heard>, exchange: &Exchange) -> F::Output {
    let mut answer = pin!(answer);
    let (conn, number) = (exchange.conn(), exchange.number);
    poll_fn(|cx| {
        let polled = answer.as_mut().poll(cx);
        if let Some(heard) = heard {
            heard.pass_on(conn, number, cx);
        }
        polled
    })
    .await
}

impl Heard {
    fn hear(&self, fields: &HeaderMap) {
        let hint = told(fields);
        let mut heard = self.0.lock();
        if heard.heard >= MOST || hint.is_empty() || list_size(&hint) > LARGEST {
            return;
        }
        heard.heard += 1;
        heard.waiting.push(hint);
        if let Some(listener) = heard.listener.take() {
            listener.wake();
        }
    }

    fn pass_on(&self, conn: &Conn, number: u64, cx: &Context<'_>) {
        let mut heard = self.0.lock();
        for hint in heard.waiting.drain(..) {
            conn.hints().push(number, hint);
        }
        heard.listener = Some(cx.waker().clone());
    }
}

/// What a client can act on before the answer: what to load, and what it may load (HTML, "early hints headers"). The rest comes with the
/// answer.
fn told(fields: &HeaderMap) -> HeaderMap {
    let mut told = HeaderMap::new();
    for name in [LINK, CONTENT_SECURITY_POLICY] {
        for value in fields.get_all(&name) {
            told.append(name.clone(), value.clone());
        }
    }
    // A policy alone is no hint.
    if !told.contains_key(LINK) {
        told.clear();
    }
    told
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn links_and_their_policy_are_passed_on_and_nothing_else() {
        let mut fields = HeaderMap::new();
        fields.append("link", HeaderValue::from_static("</a.css>; rel=preload; as=style"));
        fields.append("link", HeaderValue::from_static("</b.js>; rel=preload; as=script"));
        fields.append("content-security-policy", HeaderValue::from_static("style-src: self"));
        fields.append("set-cookie", HeaderValue::from_static("a=b"));
        fields.append("connection", HeaderValue::from_static("close"));
        let told = told(&fields);
        assert_eq!((told.len(), told.get_all("link").iter().count()), (3, 2));
        assert!(told.contains_key("content-security-policy"));
    }

    #[test]
    fn a_backend_that_never_stops_hinting_is_heard_a_bounded_number_of_times() {
        let heard = Heard::default();
        let mut fields = HeaderMap::new();
        heard.hear(&fields);
        assert_eq!(heard.0.lock().waiting.len(), 0, "nothing to act on");
        fields.insert("link", HeaderValue::from_static("</a.css>; rel=preload"));
        (0..100).for_each(|_| heard.hear(&fields));
        assert_eq!(heard.0.lock().waiting.len(), MOST);
    }
}
