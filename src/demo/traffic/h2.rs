//! GET over HTTP/2: several lanes, streams of one connection.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::sync::Mutex;

use super::connection::{Answer, no_answer, whole};
use super::h1::check_greeting;
use super::{Kind, Traffic};
use crate::demo::stage::HOST;

type Sender = SendRequest<Full<Bytes>>;

/// The connection that the lanes share.
struct Shared {
    traffic: Rc<Traffic>,
    sender: RefCell<Option<Sender>>,
    /// One lane connects, the others wait for it.
    connecting: Mutex<()>,
}

pub(super) async fn lanes(traffic: Rc<Traffic>, count: usize) {
    let shared = Shared { traffic, sender: RefCell::default(), connecting: Mutex::default() };
    join_all((0..count).map(|_| lane(&shared))).await;
}

async fn lane(shared: &Shared) {
    let get = async |judge: &super::Judge<'_>| {
        let answer = shared.get().await?;
        judge.check(answer.color)?;
        check_greeting(&answer)
    };
    shared.traffic.repeat(Kind::H2, get).await;
}

impl Shared {
    /// Asks on the connection; on a new one if the door has told the old one to end before this was sent (RFC 9113, 6.8).
    async fn get(&self) -> Result<Answer, String> {
        let uri = format!("https://{HOST}:{}/", self.traffic.door.port());
        let mut request = Request::get(uri).body(Full::default()).map_err(|e| e.to_string())?;
        loop {
            match self.sender().await?.try_send_request(request).await {
                Ok(response) => return whole(response).await,
                Err(mut unsent) => match unsent.take_message() {
                    Some(message) => request = message,
                    None => return Err(no_answer(unsent.error())),
                },
            }
            self.sender.take();
        }
    }

    async fn sender(&self) -> Result<Sender, String> {
        let _turn = self.connecting.lock().await;
        let kept = self.sender.borrow().clone();
        if let Some(mut kept) = kept
            && kept.ready().await.is_ok()
        {
            return Ok(kept);
        }
        let io = self.traffic.trust.h2(self.traffic.door).await?;
        let opened = http2::handshake(TokioExecutor::new(), io).await;
        let (sender, connection) = opened.map_err(|e| format!("no HTTP/2: {e}"))?;
        // Ends with the last sender; what breaks is seen by its requests.
        tokio::task::spawn_local(connection);
        self.sender.replace(Some(sender.clone()));
        Ok(sender)
    }
}
